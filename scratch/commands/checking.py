"""What a check of one file comes to: a report, or one line that says why there is none."""

from __future__ import annotations

import math
import sys
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from ..gradcheck.raised import NotCheckable, words
from . import loading
from .apart import Job
from .options import UsageError
from .targets import Sizes, check_target


def check_job(job: Job) -> dict[str, Any]:
    """A report as text and as numbers, or one line that says why there is none.

    Whatever their code raises ends here.
    """
    namespace = None
    before, errors = foundations(), np.geterr()
    try:
        wanted = {*job.names, *job.expression_names()}
        namespace = loading.load(job.path, wanted)
        absent = [name for name in job.names if name not in namespace.names]
        if absent:
            return {"absent": absent_words(namespace, absent[0])}
        np.seterr(**errors)  # as their file may have set them
        warnings.simplefilter("ignore")
        sizes = Sizes(*job.sizes)
        report, like = check_target(
            namespace.names, job.names, job.make, job.call, sizes, like=job.like
        )
        changed = [name for name, value in foundations().items()
                   if before.get(name, value) is not value]  # fmt: skip
        if changed:
            return {"refused": f"it replaces {changed[0]}, which the check itself stands on"}
        why = namespace.explain(str(report))
        more = (*([why] if why else []), *namespace.unfinished)
        report = replace(report, notes=(*report.notes, *more))
        found = plain({**report.to_dict(), "like": like and {"kind": job.like, **like}})
        text = [str(report), *(f"\n{words}, compared with {job.like}: {value}"
                               for words, value in like.items() if words != "ok")]  # fmt: skip
        return {"text": namespace.source.in_cells("\n".join(text)), "found": found}
    except (UsageError, NotCheckable) as error:
        why = namespace.explain(str(error)) if namespace else ""
        return {"refused": f"{why}; so {error}" if why else str(error)}
    except BaseException as error:
        told = namespace.told(error) if namespace else words(error)
        return {"refused": told}


def absent_words(namespace: loading.Namespace, name: str) -> str:
    """That a name is not there: why, or which ones are."""
    why = namespace.explain(f"name '{name}' is not defined")
    if why:
        return why
    known = ", ".join(namespace.source.defined)
    return f"{name}: no such name; it has {known or 'no class and no function'}"


def foundations() -> dict[str, object]:
    """The functions and classes that the check stands on, and its own classes' methods."""
    found: dict[str, object] = {}
    for module in [sys.modules[name] for name in list(sys.modules)]:
        name = getattr(module, "__name__", "")
        if name.partition(".")[0] in ("numpy", "json", "math", "scratch") or name == "builtins":
            for key, value in vars(module).items():
                if callable(value):
                    found[f"{name}.{key}"] = value
                    if isinstance(value, type) and value.__module__.startswith("scratch.gradcheck"):
                        found |= {f"{name}.{key}.{k}": v for k, v in vars(value).items()}
    return found


def plain(value: Any) -> Any:
    """Numbers that JSON has: infinity and NaN become words."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
