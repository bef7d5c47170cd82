"""python -m reference: the commands that set NumPy and PyTorch side by side."""

import sys

from scratch.commands import options

from .commands import bench, compare


def main(argv: list[str] | None = None) -> int:
    parser = options.Parser(
        prog="python -m reference", description="An RNN and an LSTM in NumPy beside PyTorch's."
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (compare, bench):
        command.add_parser(subparsers)
    return options.run(parser, argv)


if __name__ == "__main__":
    sys.exit(main())
