"""What happens inside: figures of a pass, of its way back through time, and of the training.

Every function takes records or arrays, and optionally the axes to draw into; it returns the figure
and shows nothing. In a notebook a figure that is the last value of a cell is shown by itself.
Beside each figure stands a function `say_…`, which puts its numbers into a sentence.

    from scratch import study

    record = lstm.forward(x)
    study.draw_forward(record.runs["l0"], sample=0).savefig("gates.png")
    study.page(lstm, x, grad_output, "lstm.html")          # a page to play with
"""

from .flow import (
    Shares,
    draw_flow,
    draw_shares,
    lstm_flow,
    norms,
    rnn_flow,
    say_flow,
    say_shares,
)
from .inside import (
    draw_backward,
    draw_forward,
    draw_trajectories,
    eigenvalues,
    principal_components,
    say_backward,
    say_forward,
    say_trajectories,
)
from .jacobians import (
    draw_jacobians,
    jacobian_norms,
    product_norms,
    say_jacobians,
    step_jacobians,
)
from .page import page
from .training import (
    AdamWay,
    Watch,
    draw_adam,
    draw_saturation,
    say_adam,
    say_saturation,
)

__all__ = [
    "AdamWay",
    "Shares",
    "Watch",
    "draw_adam",
    "draw_backward",
    "draw_flow",
    "draw_forward",
    "draw_jacobians",
    "draw_saturation",
    "draw_shares",
    "draw_trajectories",
    "eigenvalues",
    "jacobian_norms",
    "lstm_flow",
    "norms",
    "page",
    "principal_components",
    "product_norms",
    "rnn_flow",
    "say_adam",
    "say_backward",
    "say_flow",
    "say_forward",
    "say_jacobians",
    "say_saturation",
    "say_shares",
    "say_trajectories",
    "step_jacobians",
]
