"""The same work on both sides, timed in turn, next to the limit that its arithmetic sets.

A `Case` makes a `Work`: the pass in NumPy, the same pass in PyTorch, and the limit, which is the
matrix products, exp and tanh of that pass and nothing else. `measure` runs the three in turn, round
after round, so that whatever else the machine does meets all of them alike.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from scratch import LSTM, RNN, Adam, pack_padded_sequence
from scratch.bptt import COLUMNS
from scratch.machinery.module import Array
from scratch.recurrent import Recurrent
from scratch.tasks.systems import SYSTEMS, System, load_task
from scratch.training import train_step

from .training import train_step as train_step_torch
from .twin import to_torch, twin

Pass = Callable[[], None]
DTYPES = ("float32", "float64")
SIZES = (  # (T, N, D, H)
    (50, 1000, 1, 32),
    (7, 16, 10, 20),
    (50, 32, 64, 128),
    (100, 64, 128, 256),
    (200, 1, 8, 64),
    (1000, 16, 16, 64),
)
MIDDLE = SIZES[2]
OPTIONS: dict[str, dict[str, Any]] = {  # rows of MIDDLE
    "2 layers": {"num_layers": 2},
    "bidirectional": {"bidirectional": True},
    "packed, lengths 1 to T": {"packed": True},
}


class Work(NamedTuple):
    """One pass, to be called as often as one likes."""

    scratch: Pass
    torch: Pass
    limit: Pass


class Case(NamedTuple):
    section: str
    name: str
    make: Callable[[str], Work]  # takes the dtype


def cases() -> Iterator[Case]:
    """The rows of the table, without their dtypes."""
    for system in SYSTEMS.values():
        yield Case("training step", system.name, partial(training_step, system))
    for size in SIZES:
        for kind in (RNN, LSTM):
            make = partial(layer_pass, kind, size)
            yield Case("forward + backward", f"{kind.__name__} {size}", make)
    for name, options in OPTIONS.items():
        for kind in (RNN, LSTM):
            make = partial(layer_pass, kind, MIDDLE, **options)
            yield Case(f"forward + backward at {MIDDLE}", f"{kind.__name__}, {name}", make)
    for size in SIZES:
        for kind in (RNN, LSTM):
            make = partial(layer_pass, kind, size, backward=False)
            yield Case("forward alone", f"{kind.__name__} {size}", make)


def training_step(system: System, dtype: str) -> Work:
    """Gradients to None, forward, loss, backward, a step of Adam, on the system's full batch."""
    task = load_task(system, dtype=dtype)
    model: Any = task.make_model()
    criterion: Any = system.criterion
    their_model, their_criterion = twin(model), twin(criterion)
    optimizer = Adam(model.parameters(), lr=system.lr)
    their_optimizer = torch.optim.Adam(their_model.parameters(), lr=system.lr)
    x, target = task.inputs, task.targets
    their_x, their_target = to_torch(x), to_torch(target)

    def ours() -> None:
        train_step(model, criterion, optimizer, x, target)

    def theirs() -> None:
        train_step_torch(their_model, their_criterion, their_optimizer, their_x, their_target)

    (layer,) = (part for _, part in model.named_modules() if isinstance(part, Recurrent))
    return Work(ours, theirs, limit(layer, [len(x)] * x.shape[1], backward=True))


def layer_pass(
    kind: type[RNN] | type[LSTM],
    size: tuple[int, int, int, int],
    dtype: str,
    *,
    backward: bool = True,
    packed: bool = False,
    **options: Any,
) -> Work:
    """One layer alone: x and the initial state go in, and all of them get a gradient.

    The upstream gradient is a random one of the output. Not `backward`: the call without a record,
    against PyTorch without a graph.
    """
    T, N, D, H = size
    rng = np.random.default_rng(0)
    layer = kind(D, H, **options, dtype=dtype, rng=rng)
    their_layer = twin(layer)

    def draw(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(dtype)

    directions = 2 if layer.bidirectional else 1
    states = [draw(layer.num_layers * directions, N, H) for _ in layer.states]
    x: Any = draw(T, N, D)
    their_states = [to_torch(state) for state in states]
    their_x: Any = to_torch(x)
    sizes = [N] * T
    if packed:
        lengths = np.linspace(T, 1, N).round().astype(np.int64)  # longest first
        x = pack_padded_sequence(x, lengths)
        their_x = torch.nn.utils.rnn.pack_padded_sequence(their_x, torch.from_numpy(lengths))
        sizes = [int(n) for n in x.batch_sizes]
    grad: Any = draw(*(x.data if packed else x).shape[:-1], H * directions)
    their_grad = to_torch(grad)
    grad = x._replace(data=grad) if packed else grad
    state = tuple(states) if len(states) > 1 else states[0]
    their_state = tuple(their_states) if len(states) > 1 else their_states[0]
    leaves = [their_x.data if packed else their_x, *their_states]

    def ours() -> None:
        layer.zero_grad()
        layer.backward(layer.forward(x, state), grad)

    def theirs() -> None:
        their_layer.zero_grad()
        for leaf in leaves:
            leaf.grad = None
        output, _ = their_layer(their_x, their_state)
        (output.data if packed else output).backward(their_grad)

    def ours_forward() -> None:
        layer(x, state)

    def theirs_forward() -> None:
        with torch.no_grad():
            their_layer(their_x, their_state)

    if not backward:
        return Work(ours_forward, theirs_forward, limit(layer, sizes, backward))
    for leaf in leaves:
        leaf.requires_grad_()
    return Work(ours, theirs, limit(layer, sizes, backward))


def limit(layer: Recurrent, sizes: Sequence[int], backward: bool) -> Pass:
    """The products, exp and tanh of `layer` alone, for steps of `sizes` sequences.

    They run in one step's memory, which stays in the cache: no pass that does this arithmetic in
    NumPy can be faster.
    """
    gates, dtype = (4 if isinstance(layer, LSTM) else 1), layer.weight_ih_l0.dtype
    rng = np.random.default_rng(0)
    runs = []
    for name, parameter in layer.named_parameters():
        if name.startswith("weight_ih"):
            rows, columns = parameter.shape[0], parameter.shape[1] + layer.hidden_size
            W = (rng.standard_normal((rows, columns + 1)) / columns).astype(dtype)  # with the bias
            runs.append(_limit_of_run(W, gates, sizes, backward))

    def run() -> None:
        for run_alone in runs:
            run_alone()

    return run


def _limit_of_run(W: Array, gates: int, sizes: Sequence[int], backward: bool) -> Pass:
    rows, columns = W.shape
    rng = np.random.default_rng(0)
    W_T = np.ascontiguousarray(W[:, :-1].T)
    grad_W = np.empty_like(W)
    sigmoids = rows * 3 // 4 if gates > 1 else 0  # the rows of i, f and o
    blocks = list(_collect(sizes, COLUMNS)) if backward else []
    inputs, z, c, tanh_c, grad_inputs = (
        {n: rng.standard_normal((m, n)).astype(W.dtype) for n in {*sizes, *blocks}}
        for m in (columns, rows, rows // gates, rows // gates, columns - 1)
    )

    def run() -> None:
        for n in sizes:
            np.dot(W, inputs[n], out=z[n])
            np.exp(z[n][:sigmoids], out=z[n][:sigmoids])
            np.tanh(z[n][sigmoids:], out=z[n][sigmoids:])
            if gates > 1:
                np.tanh(c[n], out=tanh_c[n])
        if backward:
            for n in sizes:
                np.dot(W_T, z[n], out=grad_inputs[n])
            for n in blocks:
                np.matmul(z[n], inputs[n].T, out=grad_W)

    return run


def _collect(sizes: Iterable[int], columns: int) -> Iterator[int]:
    """The columns of the products of the weights' gradient: those of some steps together."""
    together = 0
    for n in sizes:
        together += n
        if together >= columns:
            yield together
            together = 0
    if together:
        yield together


# Measuring


@dataclass(frozen=True)
class Spread:
    """The middle half of the rounds."""

    median: float
    low: float  # the first quartile
    high: float  # the third

    @property
    def spread(self) -> float:
        """Half the width of the middle half, relative to the median."""
        return (self.high - self.low) / 2 / self.median

    @classmethod
    def of(cls, values: Array) -> Self:
        low, median, high = np.percentile(values, (25, 50, 75))
        return cls(float(median), float(low), float(high))


@dataclass(frozen=True)
class Row:
    """What was measured of one case in one dtype."""

    section: str
    name: str
    dtype: str
    rounds: int
    scratch_ms: Spread
    torch_ms: Spread
    ratio: Spread  # torch / scratch of the same round: how many times as fast scratch is
    limit_ms: Spread
    share: float  # limit / scratch of the same round: how much of the possible speed is reached
    scratch_bytes: int  # the peak during a pass, beside inputs, weights and the optimizer's state
    torch_bytes: int


def measure(case: Case, dtype: str, rounds: int, seconds: float) -> Row:
    """At least `rounds` rounds, and more until `seconds` have passed, after a warm-up."""
    work = case.make(dtype)
    scratch_bytes = scratch_peak(work.scratch)  # of a first pass: later ones reuse its memory
    work.torch()
    torch_bytes = torch_peak(work.torch)
    scratch, theirs, limit = time_in_turn(work, rounds, seconds)
    return Row(
        case.section,
        case.name,
        dtype,
        len(scratch),
        Spread.of(scratch * 1e3),
        Spread.of(theirs * 1e3),
        Spread.of(theirs / scratch),
        Spread.of(limit * 1e3),
        float(np.median(limit / scratch)),
        scratch_bytes,
        torch_bytes,
    )


def time_in_turn(passes: Sequence[Pass], rounds: int, seconds: float) -> Array:
    """The seconds of every pass in every round, (passes, rounds)."""
    for run in passes:
        run()
    times: list[list[float]] = []
    end = time.perf_counter() + seconds
    while len(times) < rounds or time.perf_counter() < end:
        times.append([])
        for run in passes:
            start = time.perf_counter()
            run()
            times[-1].append(time.perf_counter() - start)
    return np.array(times).T


def scratch_peak(run: Pass) -> int:
    """The most bytes that Python and NumPy have allocated at a time during `run`."""
    gc.collect()
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def torch_peak(run: Pass) -> int:
    """The same of the tensors: what PyTorch's allocator has given out and not yet got back."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    assert profiler.profiler is not None
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return int(np.cumsum([0, *(event.nbytes() for event in events)]).max())


# Growth with the number of steps


@dataclass(frozen=True)
class Growth:
    """How the time of scratch's forward and backward pass grows from `short` to `long` steps."""

    name: str
    dtype: str
    rounds: int
    short_ms: Spread
    long_ms: Spread
    ratio: Spread  # long / short of the same round


SHORT, LONG = 100, 1000


def measure_growth(
    kind: type[RNN] | type[LSTM],
    size: tuple[int, int, int],
    dtype: str,
    rounds: int,
    seconds: float,
) -> Growth:
    """`size` is (N, D, H). As many rounds as `measure` takes."""
    passes = [layer_pass(kind, (T, *size), dtype).scratch for T in (SHORT, LONG)]
    short, long = time_in_turn(passes, rounds, seconds)
    name = f"{kind.__name__} {size}"
    ratio = Spread.of(long / short)
    return Growth(name, dtype, len(long), Spread.of(short * 1e3), Spread.of(long * 1e3), ratio)
