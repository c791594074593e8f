"""A diagnosis as a picture and as a card of HTML."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from sklearn_proxyopt import ProxyOptimizer  # noqa: E402
from sklearn_proxyopt.displays import DiagnosisDisplay  # noqa: E402
from sklearn_proxyopt.variables import Real  # noqa: E402

VERDICTS = [("credible", 0.93), ("doubtful", 0.5), ("false", 0.0)]


@pytest.fixture(scope="module")
def found():
    X = np.random.default_rng(0).uniform(size=(30, 2))
    opt = ProxyOptimizer(bounds={"flow <b>": (0.0, 1.0), "rate": Real(0.0, 1.0)}, proxy="gp")
    opt.fit(opt_frame(X), np.square(X - 0.4).sum(axis=1))
    return opt.diagnose(regret=0.1)


def opt_frame(X):
    pd = pytest.importorskip("pandas")
    return pd.DataFrame(X, columns=["flow <b>", "rate"])


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


class Reader(HTMLParser):
    """Keeps the text and the tags of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.depth = [], [], 0
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.depth += 1

    def handle_endtag(self, tag):
        self.depth -= 1

    def handle_data(self, data):
        self.texts.append(data)


@pytest.mark.parametrize(("verdict", "probability"), VERDICTS)
def test_the_chance_stands_on_a_scale_with_its_limits(found, verdict, probability):
    shown = replace(found, verdict=verdict, probability=probability)
    display = DiagnosisDisplay(shown).plot()
    scale = display.axes_[0]
    assert scale.get_title(loc="left").split()[1] == verdict
    assert [tick.get_text() for tick in scale.get_xticklabels()] == ["0 %", "20 %", "80 %", "100 %"]
    assert [bar.get_x() + bar.get_width() for bar in scale.patches] == pytest.approx([0.2, 0.8, 1])
    assert scale.lines[0].get_xdata()[0] == probability
    bold = [text.get_text() for text in scale.texts if text.get_weight() == "bold"]
    assert bold == [verdict]
    display.figure_.canvas.draw()


def test_the_values_stand_beside_what_is_tolerated(found):
    shown = replace(found, truth=0.03, promise=0.01, best=0.02, band=(0.0, 0.05))
    values = DiagnosisDisplay(shown).plot().axes_[1]
    labels = [tick.get_text() for tick in values.get_yticklabels()]
    assert labels == ["predicted  0.01", "measured  0.03", "best known  0.02"]
    assert [line.get_xdata()[0] for line in values.lines[1:]] == [0.01, 0.03, 0.02]
    np.testing.assert_allclose(values.lines[0].get_xdata(), [0.0, 0.05])
    tolerated = values.patches[0]
    assert tolerated.get_x() == pytest.approx(0.02)
    assert tolerated.get_width() == pytest.approx(0.1)


def test_of_a_maximum_less_is_tolerated(found):
    shown = replace(found, best=0.5, direction="maximize")
    tolerated = DiagnosisDisplay(shown).plot().axes_[1].patches[0]
    assert tolerated.get_x() + tolerated.get_width() == pytest.approx(0.5)


def test_reasons_and_next_steps_are_written_in_full_and_none_leaves_the_picture(found):
    display = DiagnosisDisplay(found).plot()
    written = " ".join(display.axes_[2].texts[0].get_text().split())
    for said in (*found.reasons, *found.next_steps):
        assert " ".join(said.split()) in written
    display.figure_.canvas.draw()
    box = display.axes_[2].texts[0].get_window_extent()
    assert display.figure_.bbox.x0 <= box.x0
    assert box.x1 <= display.figure_.bbox.x1
    assert box.y0 >= display.figure_.bbox.y0


def test_without_a_verdict_there_is_no_mark_on_the_scale(found):
    shown = replace(found, verdict=None, probability=np.nan)
    scale = DiagnosisDisplay(shown).plot().axes_[0]
    assert scale.get_title(loc="left") == "no verdict"
    assert len(scale.lines) == 0


@pytest.mark.parametrize(("verdict", "probability"), VERDICTS)
def test_a_card_has_the_verdict_the_values_the_reasons_and_what_to_do(found, verdict, probability):
    page = replace(found, verdict=verdict, probability=probability)._repr_html_()
    read = Reader(page)
    text = " ".join(read.texts)
    assert read.depth == 0
    assert read.tags[0][0] == "div"
    for said in (verdict, "20 %", "80 %", "predicted", "measured", "best known", "flow <b>"):
        assert said in text
    for said in (*found.reasons, *found.next_steps):
        assert said in text
    assert f"left:{100 * probability:.1f}%" in page
    assert "How it was judged" in text


def test_a_card_has_no_script_and_its_style_holds_for_itself_alone(found):
    page = found._repr_html_()
    assert "<script" not in page
    assert "http" not in page
    name = Reader(page).tags[0][1]["id"]
    style = page[page.index("<style>") + 7 : page.index("</style>")]
    rules = [rule.split("{")[0] for rule in style.split("}") if rule.strip()]
    assert all(one.strip().startswith(f"#{name}") for rule in rules for one in rule.split(","))


def test_a_card_without_a_verdict_says_why(found):
    page = replace(found, verdict=None, probability=np.nan)._repr_html_()
    assert "No verdict" in page
    assert 'class="scale"' not in page
