"""The report: one file that has everything, needs nothing and breaks nothing."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from sklearn_proxyopt import ParetoOptimizer, ProxyOptimizer  # noqa: E402
from sklearn_proxyopt.evaluation import Journal  # noqa: E402
from sklearn_proxyopt.inspection import importances, report  # noqa: E402
from sklearn_proxyopt.optimizers import NSGA2  # noqa: E402
from sklearn_proxyopt.refine import LocalRefinement  # noqa: E402
from sklearn_proxyopt.samplers import SobolSampler  # noqa: E402
from sklearn_proxyopt.variables import Integer, Real, Variables  # noqa: E402

SPACE = {
    "flow": (0.0, 1.0),
    "rate": Real(0.01, 1.0, log=True, decimals=4),
    "cycles": Integer(1, 6),
    "solvent <i>": ["MeCN", "THF & water"],
    "height": 2.0,
}
EMPTY = {"meta", "br", "path", "use", "rect", "image"}


class Page(HTMLParser):
    """Keeps titles, texts, names and what is open."""

    def __init__(self, text):
        super().__init__()
        self.open, self.names, self.words, self.tags = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.names += [value for name, value in attrs if name == "id"]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.names += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        if tag not in EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


def waste(run):
    if run["flow"] > 0.8:
        raise ArithmeticError("flooded <here>")
    return (run["flow"] - 0.4) ** 2 + np.log10(run["rate"]) ** 2 + 0.1 * run["cycles"]


@pytest.fixture(scope="module")
def mixed():
    opt = ProxyOptimizer(
        bounds=SPACE,
        sampler=SobolSampler(24),
        proxy="gp",
        refiner=LocalRefinement(max_evaluations=4),
        vectorized=False,
        on_error="drop",
        random_state=0,
    )
    with pytest.warns(match="failed"):
        opt.minimize(waste)
    return opt


@pytest.fixture(scope="module")
def front():
    opt = ParetoOptimizer(
        bounds=[(0.0, 1.0)] * 2,
        direction=["minimize", "maximize"],
        proxy=LinearRegression(),
        optimizer=NSGA2(12, 10),
        sampler=SobolSampler(16),
        budget=24,
        n_constraints=1,
        random_state=0,
        vectorized=True,
    )
    opt.minimize(lambda X: np.column_stack([X[:, 0], X[:, 0] - X[:, 1], X[:, 0] - 0.9]))
    return opt


def written(opt, folder, **params):
    path = report(opt, folder / "report.html", **params)
    assert path == folder / "report.html"
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    return text, page


def check_alone(text, page):
    """Check that a page needs nothing but itself, and that its parts are told apart."""
    assert "script" not in page.tags
    assert not re.findall(r'(?:src|href)="(?!#)', text)
    assert "http" not in text
    assert "@import" not in text
    assert len(page.names) == len(set(page.names))
    links = re.findall(r'(?:url\(|href=")#([^")]+)', text)
    assert set(links) <= set(page.names)
    assert "currentColor" in text
    assert "prefers-color-scheme: dark" in text


def test_the_report_of_an_optimum_has_all_its_parts(mixed, tmp_path):
    text, page = written(mixed, tmp_path, title="Reactor <1>")
    check_alone(text, page)
    assert page.tags.count("svg") == 3
    for said in (
        "Reactor <1>",
        "Verdict",
        mixed.result_.verdict,
        *mixed.diagnose().reasons,
        "How far you may move",
        "The best 10 runs",
        "What matters",
        "flooded <here>",
        "solvent <i>",
        "THF & water",
        "0.01 to 1, log scale, 4 decimals",
        "fixed",
    ):
        assert said in page.text
    for row in mixed.diagnose().next_steps:
        assert row in page.text


def test_the_best_runs_stand_in_their_order(mixed, tmp_path):
    text, _ = written(mixed, tmp_path)
    table = text[text.index('class="runs"') :]
    rows = re.findall(r"<tr>(<td>.*?)</tr>", table[: table.index("</table>")])
    values = [float(re.findall(r"<td>(.*?)</td>", row)[-2]) for row in rows]
    assert len(rows) == 10
    np.testing.assert_allclose(values, np.sort(mixed.y_)[:10], rtol=1e-3)


def test_a_report_spends_no_evaluation_and_leaves_no_figure(mixed, tmp_path):
    before, figures = len(mixed.X_), plt.get_fignums()
    report(mixed, tmp_path / "run.html")
    assert len(mixed.X_) == before
    assert plt.get_fignums() == figures


def test_the_report_of_a_front_has_its_points_and_pictures(front, tmp_path):
    text, page = written(front, tmp_path)
    check_alone(text, page)
    assert page.tags.count("svg") == 4
    table = text[text.index('class="runs"') :]
    rows = re.findall(r"<tr><td>", table[: table.index("</table>")])
    assert len(rows) == len(front.X_front_)
    assert "Hypervolume" in page.text
    assert "constraint 0" in page.text


def test_letters_of_pictures_have_nine_pixels_on_a_phone(mixed, front, tmp_path):
    for opt in (mixed, front):
        text, _ = written(opt, tmp_path)
        widths = [float(one) for one in re.findall(r'viewBox="0 0 ([\d.]+) ', text)]
        # Of 390 pixels a scroll bar takes 15 at most; a picture takes all others.
        assert max(widths) <= 375.0
        narrow = text[text.index("(max-width: 30em)") :]
        assert "body { padding: .5em; } svg { margin: 0 -.5em; width: calc(100% + 1em); }" in narrow


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.ConstantWarning")
def test_values_that_are_all_the_same_have_a_report(tmp_path):
    X = np.random.default_rng(0).uniform(size=(12, 2))
    opt = ProxyOptimizer(proxy=LinearRegression(), random_state=0).fit(X, np.full(12, 4.0))
    _, page = written(opt, tmp_path)
    assert "As good as the best to within 4e-09" in page.text


def test_few_given_samples_have_a_report_without_a_verdict(tmp_path):
    X = np.linspace(0.0, 1.0, 6)[:, None]
    opt = ProxyOptimizer(proxy=LinearRegression(), random_state=0).fit(X, X[:, 0])
    _, page = written(opt, tmp_path)
    assert "Verdict " not in page.text.replace("Verdict none", "")
    assert "The best 6 runs" in page.text
    assert "The model around its optimum" in page.text


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.ConstantWarning")
def test_samples_of_a_single_setting_have_a_report_without_a_verdict(tmp_path):
    opt = ProxyOptimizer(bounds=[(0, 2)] * 2, proxy="gp", random_state=0)
    _, page = written(opt.fit(np.ones((20, 2)), np.arange(20.0)), tmp_path)
    assert "Verdict none; all samples have the same setting" in page.text
    assert "The model around its optimum" in page.text
    assert importances(opt).first_order.tolist() == [0.0, 0.0]


def test_what_is_tolerated_can_be_stated(mixed, tmp_path):
    _, page = written(mixed, tmp_path, within=0.25)
    assert "to within 0.25" in page.text
    text, _ = written(mixed, tmp_path, within=0.01)
    assert "<tr><td>cycles</td><td>1</td><td>1</td></tr>" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": 3}, "path must be a path, such as 'report.html'; got 3"),
        ({"path": "nowhere/run.html"}, "path must lie in a folder that exists; got 'nowhere/run"),
        ({"path": "."}, "path must be a file, such as 'report.html'; got the folder '.'"),
        ({"title": None}, "title must be a text; got None"),
        ({"estimator": LinearRegression()}, "estimator must be a ProxyOptimizer or a Pareto"),
        ({"estimator": ProxyOptimizer()}, "not fitted"),
        ({"within": -1.0}, "within must be"),
    ],
)
def test_a_mistake_is_named(mixed, tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        report(**{"estimator": mixed, "path": "run.html", **change})
    assert list(tmp_path.iterdir()) == []


def test_one_sample_is_not_enough(tmp_path):
    opt = ProxyOptimizer(bounds=[(0.0, 1.0)]).tell([[0.5]], [1.0])
    with pytest.raises(ValueError, match="must have learned from at least two samples; got one"):
        report(opt, tmp_path / "run.html")


# Cards of other objects.


def test_a_result_is_a_card_of_its_six_lines(mixed, front):
    for result in (mixed.result_, front.result_):
        page = Page(result._repr_html_())
        assert page.open == []
        assert page.tags.count("tr") == 6
        for line in str(result).splitlines():
            assert line[13:] in page.text


def test_a_space_is_a_table_of_its_variables():
    page = Page(Variables(SPACE)._repr_html_())
    assert page.tags.count("tr") == 6
    for said in ("0.01 to 1, log scale", "integer", "1 to 6", "MeCN, THF & water", "fixed"):
        assert said in page.text


def test_a_journal_is_a_card_of_what_is_in_it(tmp_path):
    path = tmp_path / "runs.sqlite"
    opt = ProxyOptimizer(
        sampler=SobolSampler(12),
        proxy=LinearRegression(),
        refiner=None,
        journal=path,
        vectorized=True,
    )
    opt.set_params(random_state=0, vectorized=False, on_error="drop")

    def fails_high(x):
        if x[0] > 0.9:
            raise ArithmeticError
        return x[0]

    with pytest.warns(match="failed"):
        opt.minimize(fails_high, [(0.0, 1.0)])
    page = Page(Journal(path)._repr_html_())
    n_failed = len(opt.X_failed_)
    assert f"{len(opt.X_) + n_failed}, of which {n_failed} failed" in page.text
    assert f"{opt.y_.min():.6g} to {opt.y_.max():.6g}" in page.text


def test_a_journal_that_cannot_be_read_says_so(tmp_path):
    assert "not readable" in Journal(tmp_path / "missing.sqlite")._repr_html_()
