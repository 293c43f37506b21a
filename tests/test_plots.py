"""Plots: live text in SVG, the same bytes for the same run, and names that stay names."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from data.codec import replace
from data.errors import ConfigError
from engine.dossier import Dossier, read_dossier
from tests.hostile import NAMES
from tests.run_maker import Maker, questions

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from engine.reports.plots import canvas, files

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def dossier(tmp_path_factory: pytest.TempPathFactory) -> Dossier:
    """A small run with two judges, prices, and Chinese names."""
    maker = Maker(questions(24))
    return read_dossier(maker.write(tmp_path_factory.mktemp("plots") / "run"))


def texts_of(path: Path) -> list[str]:
    """Every text element of an SVG."""
    return [node.text or "" for node in ET.parse(path).iter(f"{SVG}text")]


def test_every_plot_is_an_svg_whose_text_is_text(dossier: Dossier, tmp_path: Path) -> None:
    """Names and numbers can be searched, copied, and drawn with the reader's own fonts."""
    written = files.write(dossier, tmp_path, "svg")
    kinds = {path.name.partition("-")[0].removesuffix(".svg") for path in written}
    assert kinds == {"leaderboard", "cost", "categories", "judges", "progress"}
    table = dossier.scores.tables[1]
    (board,) = (p for p in written if p.name.startswith("leaderboard-评委二"))
    shown = texts_of(board)
    for row in table.rows:
        assert row.model in shown
        assert f"{row.robust.total:.2f}" in shown
    (heat,) = (p for p in written if p.name.startswith("categories-评委二"))
    assert {"数学计算", "中文推理", f"{table.rows[0].robust.categories['数学计算']:.2f}"} <= set(
        texts_of(heat)
    )
    (cost,) = (p for p in written if p.name.startswith("cost-评委二"))
    assert {"甲", "model-b", "丙 C"} <= set(texts_of(cost))


def test_an_svg_loads_nothing_and_links_nowhere(dossier: Dossier, tmp_path: Path) -> None:
    """No script, no image of another place, no link."""
    for path in files.write(dossier, tmp_path, "svg"):
        for node in ET.parse(path).iter():
            assert not node.tag.endswith(("}script", "}a", "}foreignObject"))
            for name, value in node.attrib.items():
                if name.endswith("href"):
                    assert value.startswith(("#", "data:image/png;base64,")), value


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_the_same_run_gives_the_same_bytes(
    dossier: Dossier, tmp_path: Path, kind: files.Kind
) -> None:
    """No date, no random id."""
    if kind == "png" and not canvas.chinese_font():
        pytest.skip("no font with Chinese here")
    one = [p.read_bytes() for p in files.write(dossier, tmp_path / "a", kind)]
    two = [p.read_bytes() for p in files.write(dossier, tmp_path / "b", kind)]
    assert one == two
    assert all(len(data) > 2000 for data in one)


def test_without_a_chinese_font_svg_is_drawn_and_png_refused(
    dossier: Dossier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never boxes, and never a warning about a missing glyph (a warning fails a test here)."""
    monkeypatch.setattr(canvas, "chinese_font", lambda: "")
    assert files.write(dossier, tmp_path, "svg")
    with pytest.raises(ConfigError, match="no font with Chinese") as caught:
        files.write(dossier, tmp_path, "png")
    assert "fonts-noto-cjk" in str(caught.value)


def test_a_run_without_chinese_needs_no_font_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Latin names are drawn by matplotlib's own font."""
    monkeypatch.setattr(canvas, "chinese_font", lambda: "")
    maker = Maker([replace(q, category="math") for q in questions(4)], ("one", "two"), ("judge",))
    maker.benchmark = replace(maker.benchmark, name="exam", groups={})
    plain = read_dossier(maker.write(tmp_path / "run"))
    assert len(files.write(plain, tmp_path, "png")) == 4


def test_hostile_names_are_drawn_as_what_they_are(tmp_path: Path) -> None:
    """No mathematics, no markup, no broken XML; lone surrogates and control codes as escapes."""
    names = (*NAMES[:20], "$x^2$", "\\frac{1}{0}", "_hidden", "%s %d {0}")
    maker = Maker(questions(8), models=names, judges=(NAMES[0], "$\\alpha$"), name=NAMES[13])
    written = files.write(read_dossier(maker.write(tmp_path / "run")), tmp_path / "plots", "svg")
    shown = [text for path in written for text in texts_of(path)]
    for name in ("$x^2$", "\\frac{1}{0}", "_hidden", "%s %d {0}", "<img src=x onerror=alert(1)>"):
        assert name in shown
    assert all(path.parent == tmp_path / "plots" for path in written)


def test_without_matplotlib_there_is_one_clear_error(
    dossier: Dossier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match="matplotlib") as caught:
        files.write(dossier, tmp_path / "out", "svg")
    assert "alignsweep[plots]" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_line_of_many_points_keeps_its_last(dossier: Dossier) -> None:
    """What was reached in the end is not thinned away."""
    from engine.reports.plots.drawings import _thinned

    times, done = _thinned([float(i) for i in range(12_345)])
    assert (times[-1], done[-1]) == (12_344.0, 12_345)
    assert len(times) <= 250
    assert dossier.timeline.answers


def test_a_long_title_is_broken_and_never_cut() -> None:
    """The mark of a simulation stands at its end."""
    title = (
        "alignbench-v1.1 by an expensive judge where gpt-4-0613 and rules leave a doubt (simulated)"
    )
    shown = canvas.heading(title)
    assert shown.split() == title.split()
    assert max(map(len, shown.splitlines())) <= 44
