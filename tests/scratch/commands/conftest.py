"""How a command refuses: one line on standard error, exit status 2."""

import pytest

from scratch.__main__ import main


@pytest.fixture
def refuse(capsys):
    """Run `train` in this process; it must print one line and exit with status 2."""

    def refuse(*arguments):
        with pytest.raises(SystemExit) as raised:
            main(["train", *map(str, arguments)])
        assert raised.value.code == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        assert message.endswith("\n")
        return message

    return refuse
