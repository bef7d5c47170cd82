"""python -m scratch: the commands of the NumPy side."""

import sys

from .commands import check, explain, options, study, train


def main(argv: list[str] | None = None) -> int:
    parser = options.Parser(prog="python -m scratch", description="An RNN and an LSTM in NumPy.")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (train, check, study, explain):
        command.add_parser(subparsers)
    return options.run(parser, argv)


if __name__ == "__main__":
    sys.exit(main())
