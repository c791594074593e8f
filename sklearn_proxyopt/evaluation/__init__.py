"""Evaluation: calling the objective, and keeping every evaluated sample."""

from sklearn_proxyopt.evaluation._command import CommandObjective
from sklearn_proxyopt.evaluation._evaluator import Evaluator
from sklearn_proxyopt.evaluation._journal import Journal
from sklearn_proxyopt.evaluation._record import EvaluationRecord
from sklearn_proxyopt.evaluation._record_book import RecordBook

__all__ = ["CommandObjective", "EvaluationRecord", "Evaluator", "Journal", "RecordBook"]
