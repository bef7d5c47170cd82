"""The page in a real browser: its numbers, its pictures, its controls."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from reference import from_torch
from scratch import LSTM, RNN, LSTMCell, SimpleLSTM, pack_padded_sequence, study
from scratch.study import page as page_function
from scratch.study.equations import number_text
from scratch.study.explain import card
from scratch.study.sequence import follow
from tests.scratch.study import browser as browsers

T, D = 9, 2
RNG = np.random.default_rng(0)


def lstm(**options):
    layer = LSTM(D, 6, dtype=np.float64, rng=0, **options)
    width = (options.get("proj_size") or 6) * (2 if options.get("bidirectional") else 1)
    return layer, RNG.standard_normal((T, 2, D)), RNG.standard_normal((T, 2, width))


def packed_rnn():
    layer = RNN(D, 3, 2, bidirectional=True, dtype=np.float64, rng=0)
    x, grad = RNG.standard_normal((T, 3, D)), RNG.standard_normal((T, 3, 6))
    lengths = [4, 9, 7]
    packed = [pack_padded_sequence(a, lengths, enforce_sorted=False) for a in (x, grad)]
    return layer, *packed


def model():
    model = SimpleLSTM(1, 5, 1, rng=0)  # float32
    x = RNG.standard_normal((1, T, 1)).astype(np.float32)
    return model, x, np.ones((1, 1), np.float32)


def not_finite():
    x = RNG.standard_normal((T, 1, D))
    x[3, 0, 0], x[6, 0, 1] = np.inf, np.nan
    return LSTM(D, 2, dtype=np.float64, rng=0), x, np.ones((T, 1, 2))


CASES = {
    "lstm": lstm(),
    "projected": lstm(proj_size=3),
    "relu": (RNN(D, 6, nonlinearity="relu", dtype=np.float64, rng=3), *lstm()[1:]),
    "packed": packed_rnn(),
    "model": model(),
    "not finite": not_finite(),
    "cell": (LSTMCell(D, 3, dtype=np.float64, rng=0), RNG.standard_normal((2, D)), None),
    "one unit": (LSTM(D, 1, rng=0), np.ones((7, 1, D), np.float32), np.ones((7, 1, 1), np.float32)),
}


@pytest.fixture(scope="module")
def browser():
    path = browsers.find()
    if path is None:
        pytest.skip("no Chromium found: apt-get install chromium")
    browser = browsers.Browser(path)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Of each case the file and the runs that it shows."""
    folder, made = tmp_path_factory.mktemp("pages"), {}
    for name, (module, x, grad_output) in CASES.items():
        file = folder / f"{name}.html"
        sample = 1 if name in ("lstm", "packed") else 0
        study.page(module, x, grad_output, file, sample=sample)
        made[name] = file, follow(module, x, grad_output, sample=sample)
    return made


def go(browser, **place):
    """To a place, by the part of the address after #."""
    fragment = json.dumps("#" + "&".join(f"{key}={value}" for key, value in place.items()))
    browser.run(
        "new Promise(done => { addEventListener('hashchange', () => setTimeout(done),"
        f"{{once: true}}); location.hash = {fragment}; }})"
    )


def shown(browser):
    """The equations on the page: name and symbols, numbers and result."""
    return browser.run(
        "[...document.querySelectorAll('#equations li')].map(row => [...row.children]"
        ".map(line => line.textContent))"
    )


def place(browser):
    """Step, direction and unit, as the page has them."""
    where = browser.run("document.getElementById('where').textContent")
    back, step = re.match(r"[←→] (forward|backward), step (\d+)", where).groups()
    return int(step), back, int(browser.run("document.getElementById('unit').value"))


# The file


def test_the_file_needs_nothing_else_and_is_small(tmp_path):
    rng = np.random.default_rng(0)
    layer = LSTM(1, 32, dtype=np.float64, rng=0)
    file = tmp_path / "page.html"
    study.page(layer, rng.standard_normal((50, 1, 1)), rng.standard_normal((50, 1, 32)), str(file))
    text = file.read_text("utf-8")
    assert len(text.encode()) < 2_000_000
    text = text.replace("http://www.w3.org/2000/svg", "")  # a name, not an address to load
    outside = re.findall(r"https?:|\bsrc=|\bhref=|@import|url\(|fetch\(|XMLHttp|import\(", text)
    assert outside == ["href="]
    assert '<link rel="icon" href="data:,">' in text
    template = Path(page_function.__code__.co_filename).with_name("page.html")
    assert len(template.read_text("utf-8").splitlines()) <= 700


def test_numbers_that_json_lacks_and_a_title_that_would_end_the_script(tmp_path):
    layer = RNN(1, 1, nonlinearity="relu", dtype=np.float64, rng=0)
    layer.weight_ih_l0.data[:] = 1
    x = np.array([[[np.inf]], [[np.nan]]])
    file = tmp_path / "page.html"
    title = "</script><b>"
    study.page(layer, x, np.zeros((2, 1, 1)), file, title=title)
    found = re.search(r'<script id="data"[^>]*>(.*?)</script>', file.read_text("utf-8"), re.S)
    data = json.loads(found[1])
    assert data["title"] == title
    assert data["runs"]["l0"]["values"]["x"] == [["Infinity"], ["NaN"]]


def test_a_module_of_pytorch_is_told_how_to_become_one_of_ours(tmp_path):
    class Net(torch.nn.Module):
        pass

    for theirs, name in [(torch.nn.LSTM(2, 3), "LSTM"), (Net(), "Net")]:
        words = f"or LSTMCell, got {name} of torch: reference.from_torch makes an RNN or LSTM of"
        with pytest.raises(TypeError, match=words):
            study.page(theirs, None, None, tmp_path / "page.html")


def test_a_folder_that_is_not_there_is_named_as_it_was_given(tmp_path):
    file = tmp_path / "none" / "page.html"
    with pytest.raises(FileNotFoundError) as raised:
        study.page(RNN(2, 3), np.ones((1, 2), np.float32), np.ones((1, 3), np.float32), file)
    assert raised.value.filename == str(file)


def test_weights_that_came_from_pytorch(tmp_path):
    theirs = torch.nn.LSTM(2, 3, batch_first=True)
    file = tmp_path / "page.html"
    x = np.ones((1, 4, 2), np.float32)
    study.page(from_torch(theirs), x, np.ones((1, 4, 3), np.float32), file)
    found = re.search(r'<script id="data"[^>]*>(.*?)</script>', file.read_text("utf-8"), re.S)
    run = json.loads(found[1])["runs"]["l0"]
    forget = theirs.weight_hh_l0.detach().numpy()[3:6]
    np.testing.assert_array_equal(np.float32(run["weights"]["W_hf"]["data"]), forget)
    output = theirs(torch.from_numpy(x))[0].detach().numpy()
    np.testing.assert_allclose(run["values"]["h"], output[0], rtol=1e-5)


# In the browser


@pytest.mark.parametrize("case", CASES)
def test_twenty_places_have_the_numbers_of_explain(browser, files, case):
    file, runs = files[case]
    browser.open(file)
    rng = np.random.default_rng(5)
    for _ in range(20 if case == "lstm" else 4):
        suffix = str(rng.choice(list(runs)))
        run = runs[suffix]
        t, unit, back = (int(rng.integers(size)) for size in (run.steps, run.units, 2))
        go(browser, t=t, unit=unit, dir="back" if back else "forward", run=suffix, nth=_)
        assert place(browser) == (t, ("forward", "backward")[back], unit)
        expected = [
            [f"{f.name} = {f.symbols}", f"= {f.lines[0].numbers} = {f.lines[0].result}"]
            for f in card(run, t, unit)[back]
        ]
        assert shown(browser) == expected
    assert browser.complaints() == []


@pytest.mark.parametrize("case", CASES)
def test_the_lines_of_the_diagram_carry_the_values_one_way_and_the_gradients_the_other(
    browser, files, case
):
    file, runs = files[case]
    suffix, run = list(runs.items())[-1]
    t = min(3, run.steps - 1)
    browser.open(file, f"run={suffix}&t=2&unit=1")
    arrows = []
    for back in (False, True):
        go(browser, t=t, unit=0, run=suffix, dir="back" if back else "forward")
        wires = browser.run(
            "[...document.querySelectorAll('#diagram g')].filter(g => g.querySelector('.wire'))"
            ".map(g => [g.dataset.forward, g.dataset.back, g.querySelector('.value').textContent,"
            "g.lastChild.previousSibling.previousSibling.previousSibling"
            ".getAttribute('transform').match(/rotate\\(([^)]*)/)[1]])"
        )
        arrows.append([float(turn) for *_, turn in wires])
        assert len(wires) >= 6
        for forward, backward, value, _turn in wires:
            names = (backward if back else forward).split(" ")
            number = np.prod([run.values[name][t, 0] for name in names])
            assert value == number_text(number), names
            if " " not in forward and forward != "tanh_c":  # a value, and its gradient or a part
                assert re.fullmatch(f"grad_{forward}(_from_(h|next|output))?", backward)
    products = {f: b for f, b, *_ in wires if " " in f or f == "tanh_c"}
    if run.kind == "LSTM":
        h = "m" if "m" in run.values else "h"  # h = o · tanh(c)
        assert products == {"f c_prev": "grad_c", "i g": "grad_c", "tanh_c": f"grad_{h} o"}
    assert [(b - a) % 360 for a, b in zip(*arrows, strict=True)] == [180] * len(arrows[0])


def test_a_value_beside_a_gradient_is_as_short_as_its_place(browser, files):
    browser.open(files["lstm"][0])
    given = [0, -0.6412, -0.06412, -0.007865, -0.0003352, -1.234e-10, 12345.6]
    shown = ["0", "-0.6412", "-0.0641", "-0.0079", "-3.4e-4", "-1.2e-10", "1.23e+4"]
    assert browser.run(f"{given}.map(brief)") == shown


def test_the_strips_show_the_signs_and_sizes(browser, files):
    file, runs = files["lstm"]
    browser.open(file, "scale=linear")
    pixels = browser.run(
        "Object.fromEntries(strips.map(s => [s.name, [...s.canvas.getContext('2d')"
        ".getImageData(0, 0, s.canvas.width, s.canvas.height).data]]))"
    )
    values = runs["l0"].values
    names = ["x", "i", "f", "g", "o", "c", "h"]
    assert sorted(pixels) == sorted(names + [f"grad_{name}" for name in names])
    for name, data in pixels.items():
        image = np.array(data, float).reshape(*values[name].T.shape, 4)[..., :3]
        array = values[name].T
        if name in ("i", "f", "o"):  # between paper at 0 and green at 1
            paper, green = np.array([0xF1, 0xEF, 0xE9]), np.array([0x14, 0x53, 0x2D])
            expected = paper + (green - paper) * array[..., None]
        else:  # from blue over paper to orange, symmetric around 0
            paper, blue, orange = [0xF1, 0xEF, 0xE9], [0x1F, 0x5F, 0xAE], [0xC2, 0x57, 0]
            share = array[..., None] / np.abs(array).max()
            end = np.where(share < 0, blue, orange)
            expected = paper + (end - np.array(paper)) * np.abs(share)
        assert np.abs(image - expected).max() <= 0.51, name  # rounded to whole numbers


@pytest.mark.parametrize("suffix", ["l0", "l0_reverse"])
def test_the_pass_goes_through_the_steps_in_its_own_order(browser, files, suffix):
    """And what it has not come to yet lies behind a veil: in a value's strip, in a gradient's."""
    file, runs = files["packed"]
    steps, order = runs[suffix].steps, runs[suffix].order
    browser.open(file, f"run={suffix}")
    for back in (False, True):
        for k, t in enumerate(order[::-1] if back else order):
            assert place(browser)[:2] == (t, ("forward", "backward")[back])
            hidden = [[], order[: steps - 1 - k]] if back else [order[k + 1 :], order]
            assert [veiled(browser, name, steps) for name in ("h", "grad_h")] == [
                sorted(steps) for steps in hidden
            ]
            browser.run("document.getElementById('next').click()")


def veiled(browser, name, steps):
    """The steps behind the veil of a strip."""
    left, right = browser.run(
        f"(() => {{ const veil = strips.find(s => s.name === '{name}').veil.style;"
        "return [parseFloat(veil.left), parseFloat(veil.right)]; })()"
    )
    return list(range(round(left / 100 * steps), steps - round(right / 100 * steps)))


def test_the_bars_are_the_contributions_and_their_sum_is_grad(browser, files):
    for case, weight, column in [
        ("lstm", "W_hf", 4),
        ("projected", "W_hr", 1),
        ("packed", "b_hh", 0),
    ]:
        file, runs = files[case]
        run, unit, t = runs["l0"], 2, 3
        browser.open(file, f"weight={weight}&column={column}&unit={unit}&t={t}&dir=back")
        heights = browser.run(
            "[...document.querySelectorAll('#bars rect')].map(r => +r.getAttribute('height'))"
        )
        entry = (unit, column) if run.weights[weight].from_below else (unit,)
        shares = run.contributions(weight)[(slice(None), *entry)]
        assert len(heights) == run.steps
        tall = np.array(heights) > 1
        scale = np.array(heights)[tall] / np.abs(shares)[tall]
        assert tall.any()
        np.testing.assert_allclose(scale, scale[0], rtol=1e-9)
        words = browser.run("document.getElementById('share').textContent")
        assert f" = {number_text(shares[t])} " in words
        assert f"to this one {number_text(shares[t:].sum())} " in words
        row = run.weights[weight].first_row + unit
        place = f"{run.weights[weight].parameter}.grad[{', '.join(map(str, (row, *entry[1:])))}]"
        grad = number_text(run.weights[weight].grad[entry])
        total = number_text(shares.sum())
        assert words.endswith(f"{place}: this sequence {total}; all {run.batch} sequences {grad}")


@pytest.mark.parametrize("back", [False, True])
def test_the_curves_are_the_unit_over_time(browser, files, back):
    """Backward on a logarithmic axis, beside what the forget gates alone let through."""
    file, runs = files["lstm"]
    values, unit = runs["l0"].values, 4
    browser.open(file, f"unit={unit}&t=5&dir={'back' if back else 'forward'}")
    curves = browser.run(
        "[...document.querySelectorAll('#unit-chart .curve[opacity=\"0.25\"]')]"
        ".map(path => [...path.getAttribute('d').matchAll(/,([-\\d.e]+) h/g)].map(m => +m[1]))"
    )
    if back:
        gates = np.append(values["f"][1:, unit], 1)[::-1]  # between the last step and each step
        through = values["grad_c"][-1, unit] * np.cumprod(gates)[::-1]
        expected = [values["grad_h"][:, unit], values["grad_c"][:, unit], through]
        expected = [np.log10(np.abs(curve)) for curve in expected]
    else:
        expected = [values["h"][:, unit], values["c"][:, unit]]
    shown, expected = np.array(curves), np.array(expected)
    slope, start = np.polyfit(expected.ravel(), shown.ravel(), 1)  # one axis for all curves
    assert slope < 0  # downward is less
    np.testing.assert_allclose(shown, slope * expected + start, rtol=0, atol=1e-9)


def test_an_equation_under_the_mouse_lights_its_line(browser, files):
    browser.open(files["lstm"][0], "t=3&dir=back")
    x, y = browser.run(
        "(r => [r.x + 20, r.y + 5])(document.querySelector('li[data-name=grad_f]')"
        ".getBoundingClientRect())"
    )
    browser("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    lit = "[...document.querySelectorAll('.lit')].map(g => g.dataset.back)"
    assert browser.run(lit) == ["grad_f"]


def test_every_control_does_what_it_says(browser, files):
    file, runs = files["packed"]
    steps = runs["l0"].steps
    browser.open(file)
    assert place(browser) == (0, "forward", 0)

    # Buttons, in the order of the bar
    for button, expected in [
        ("next", (1, "forward")),
        ("next", (2, "forward")),
        ("previous", (1, "forward")),
        ("turn", (1, "backward")),
        ("previous", (2, "backward")),
        ("next", (1, "backward")),
        ("last", (0, "backward")),
        ("next", (0, "backward")),
        ("first", (0, "forward")),
        ("previous", (0, "forward")),
    ]:
        browser.click(f"#{button}")
        assert place(browser)[:2] == expected, button

    # Keys
    browser.run("document.activeElement.blur()")
    for key, expected in [
        ("ArrowRight", (1, "forward", 0)),
        ("ArrowDown", (1, "forward", 1)),
        ("ArrowDown", (1, "forward", 2)),
        ("ArrowDown", (1, "forward", 2)),
        ("b", (1, "backward", 2)),
        ("ArrowUp", (1, "backward", 1)),
        ("ArrowLeft", (2, "backward", 1)),
        ("End", (0, "backward", 1)),
        ("Home", (0, "forward", 1)),
    ]:
        browser.press(key)
        assert place(browser) == expected, key

    # The slider, by keyboard and by its value
    browser.run("document.getElementById('position').focus()")
    browser.press("ArrowRight", 39)
    assert place(browser) == (1, "forward", 1)
    change(browser, "position", steps)
    assert place(browser) == (steps - 1, "backward", 1)

    # Unit, weight, column, scale, run
    change(browser, "unit", 2)
    assert place(browser) == (steps - 1, "backward", 2)
    bars = "document.getElementById('bars').innerHTML"
    share = "document.getElementById('share').textContent"
    for control, value in [("weight", "W_ih"), ("column", 1), ("unit", 0), ("weight", "b_ih")]:
        before = browser.run(bars), browser.run(share)
        change(browser, control, value)
        assert browser.run(bars) != before[0], control
        assert browser.run(share) != before[1], control
    picture = "strips.find(s => s.name === 'grad_h').canvas.toDataURL()"
    before = browser.run(picture)
    change(browser, "scale", "linear")
    assert browser.run(picture) != before
    names = browser.run("[...document.getElementById('run').options].map(o => o.value)")
    assert names == list(runs)
    change(browser, "run", "l1_reverse")
    assert place(browser) == (steps - 1, "backward", 0)
    assert shown(browser)[0][1].endswith(
        f"= {number_text(runs['l1_reverse'].values['grad_h'][steps - 1, 0])}"
    )

    # A click on a strip: its step, its direction, its unit
    browser.click("#strips figure:nth-child(4) .strip", across=2.5 / steps, down=0.5)
    assert place(browser) == (2, "backward", 1)
    browser.click("#strips figure:nth-child(3) .strip", across=0.5 / steps, down=0.9)
    assert place(browser) == (0, "forward", 2)

    # Light and dark
    for expected in ("dark", "light"):
        colours = "getComputedStyle(document.body).backgroundColor + " + picture
        before = browser.run(colours)
        browser.click("#theme")
        assert browser.run("document.documentElement.dataset.theme") == expected
        assert browser.run(colours) != before
    assert browser.complaints() == []


def change(browser, control, value):
    """Set a control as a person would: its value, and the event that follows."""
    browser.run(
        f"(() => {{ const e = document.getElementById({json.dumps(control)});"
        f"e.value = {json.dumps(value)};"
        "e.dispatchEvent(new Event('input', {bubbles: true}));"
        "e.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )


def test_the_address_leads_back_to_the_same_place(browser, files):
    file, _ = files["packed"]
    browser.open(file, "run=l1&t=3&dir=back&unit=1&weight=b_hh&scale=linear")
    browser.click("#next")
    browser.run("new Promise(done => setTimeout(done, 400))")
    fragment = browser.run("location.hash.slice(1)")
    before = (
        place(browser),
        shown(browser),
        browser.run("document.getElementById('bars').innerHTML"),
    )
    browser.open(file, fragment)
    after = place(browser), shown(browser), browser.run("document.getElementById('bars').innerHTML")
    assert before == after
    assert before[0] == (2, "backward", 1)
    for control, value in [("run", "l1"), ("weight", "b_hh"), ("scale", "linear")]:
        assert browser.run(f"document.getElementById('{control}').value") == value


def test_play_goes_forward_to_the_last_step_and_back_to_the_first(browser, files):
    file, _ = files["one unit"]
    browser.open(file)
    change(browser, "speed", 32)
    seen = browser.run(
        "new Promise(done => { const seen = [];"
        "new MutationObserver(() => { const p = +document.getElementById('position').value;"
        "if (seen.at(-1) !== p) seen.push(p); if (p === 13) setTimeout(() => done(seen), 100); })"
        ".observe(document.getElementById('where'), {childList: true});"
        "document.getElementById('play').click(); })"
    )
    assert seen == list(range(1, 14))
    assert place(browser) == (0, "backward", 0)
    label = "document.getElementById('play').getAttribute('aria-label')"
    assert browser.run(label) == "Play"
    browser.run("document.activeElement.blur()")
    browser.press(" ", 32)  # from the end it starts anew
    assert browser.run(label) == "Pause"
    browser.press(" ", 32)
    assert browser.run(label) == "Play"
    assert place(browser)[1] == "forward"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_in_the_theme_of_the_system(browser, files, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser("Emulation.setEmulatedMedia", features=features)
    browser.open(files["lstm"][0])
    assert browser.run("document.documentElement.dataset.theme") == scheme
    browser("Emulation.setEmulatedMedia", features=[])


def test_the_keyboard_reaches_every_control_and_each_has_a_name(browser, files):
    browser.open(files["packed"][0])
    controls = "[...document.querySelectorAll('button, select, input')]"
    reached = set()
    for _ in range(browser.run(f"{controls}.length") + 2):
        browser.press("Tab", 9)
        reached.add(browser.run("document.activeElement.id"))
    assert set(browser.run(f"{controls}.map(e => e.id)")) <= reached
    nodes = browser("Accessibility.getFullAXTree")["nodes"]
    roles = ("button", "combobox", "slider", "spinbutton", "image")
    named = [(n["role"]["value"], n["name"]["value"]) for n in nodes if n["role"]["value"] in roles]
    assert {role for role, _ in named} == set(roles)
    assert [role for role, name in named if not name] == []


@pytest.mark.parametrize("width", [360, 800, 1440])
def test_nothing_is_wider_than_the_window(browser, files, width):
    size = {"height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser("Emulation.setDeviceMetricsOverride", width=width, **size)
    for case in ("lstm", "packed"):
        browser.open(files[case][0], "dir=back&t=3")
        assert browser.run("document.documentElement.scrollWidth") <= width
    browser("Emulation.setDeviceMetricsOverride", width=1440, **size)
