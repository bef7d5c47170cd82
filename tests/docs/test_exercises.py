"""The exercises: the solution is right, common wrong ones are not, and `...` is refused."""

import pytest

from scratch.__main__ import main
from tests.docs.pages import DOCS

SOLUTIONS = {
    ("rnn_cell.py", "MyRNNCell", "RNNCell"): (
        "grad_h * (1 - h**2)",
        ("grad_h", "grad_h * (1 - h)", "grad_h * h"),
    ),
    ("rnn_sum.py", "MyRNN", "RNN"): (
        "grad_z.T @ h_prev",
        ("grad_z.T @ h", "h_prev.T @ grad_z", "grad_h.T @ h_prev"),
    ),
    ("lstm_carry.py", "MyLSTM", "LSTM"): (
        "grad_c * f",
        ("0 * grad_c", "grad_c", "grad_c * i"),
    ),
}
CASES = [
    (*exercise, answer, right)
    for exercise, (solution, wrong) in SOLUTIONS.items()
    for answer, right in [(solution, True), *((answer, False) for answer in wrong)]
]


@pytest.mark.parametrize(("file", "name", "like", "answer", "right"), CASES)
def test_solutions(tmp_path, capsys, file, name, like, answer, right):
    source = (DOCS / "exercises" / file).read_text()
    head, code = source.split('"""\n\n', 1)
    assert code.count("...") == 1
    (tmp_path / file).write_text(head + '"""\n\n' + code.replace("...", answer))
    status = main(["check", str(tmp_path / file) + f":{name}", "--like", like])
    printed = capsys.readouterr().out
    assert status == (0 if right else 1), printed
    assert ("WRONG" in printed) != right


@pytest.mark.parametrize(("file", "name", "like"), SOLUTIONS)
def test_what_is_left_out_is_refused_in_one_line(capsys, file, name, like):
    path = DOCS / "exercises" / file
    assert f"docs/exercises/{file}:{name} --like {like}" in path.read_text()
    with pytest.raises(SystemExit) as ended:
        main(["check", f"{path}:{name}", "--like", like])
    assert ended.value.code == 2
    capsys.readouterr()
