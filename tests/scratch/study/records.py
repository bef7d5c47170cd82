"""Records of real passes for the figures, and what is read off a drawn figure."""

import numpy as np

from scratch import SimpleLSTM, SimpleRNN


def passes(kind, H, T, *, N=3, D=1, seed=0):
    """A model, and the forward and backward record of its layer under a random gradient."""
    rng = np.random.default_rng(seed)
    cls = {"rnn": SimpleRNN, "lstm": SimpleLSTM}[kind]
    model = cls(D, H, 2, dtype=np.float64, rng=rng)
    for parameter in model.parameters():
        parameter.data *= 2  # so that gates are not all near 0.5
    record = model.forward(rng.standard_normal((N, T, D)))
    back = model.backward_record(record, rng.standard_normal((N, 2)))
    return model, getattr(record, kind).runs["l0"], getattr(back, kind).runs["l0"]


def images(figure):
    """The values of every strip, (T, units), from the top down."""
    return [axes.images[0].get_array().data.T for axes in figure.axes if axes.images]


def line(axes, label):
    (found,) = (line for line in axes.lines if line.get_label() == label)
    return found.get_ydata()


def texts(figure):
    """Every text that is drawn, and its box in pixels."""
    figure.draw_without_rendering()
    found = list(figure.texts)
    for axes in [a for parent in figure.axes for a in (parent, *parent.child_axes)]:
        found += [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]
        if axes.get_legend():
            found += axes.get_legend().get_texts()
        for axis in (axes.xaxis, axes.yaxis):
            found.append(axis.get_offset_text())
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if low <= tick.get_loc() <= high:
                    found += [tick.label1, tick.label2]
    return [(t, t.get_window_extent()) for t in found if t.get_visible() and t.get_text()]


def overlaps(figure):
    """The pairs of texts that lie on each other, and the texts that leave the figure."""
    boxes = texts(figure)
    pairs = [
        (a.get_text(), b.get_text())
        for i, (a, box) in enumerate(boxes)
        for b, other in boxes[:i]
        if box.shrunk(0.98, 0.9).overlaps(other.shrunk(0.98, 0.9))
    ]
    outside = [t.get_text() for t, box in boxes if not figure.bbox.padded(1).fully_overlaps(box)]
    return pairs, outside
