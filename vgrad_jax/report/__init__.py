"""Results for people: the page, figures, tables, sentences, and the live view of a single training."""

from vgrad_jax.report.page import write_report as write_report
from vgrad_jax.report.report import Report as Report
from vgrad_jax.report.schema import SUMMARY_SCHEMA as SUMMARY_SCHEMA
from vgrad_jax.report.section import Block as Block
from vgrad_jax.report.section import Chart as Chart
from vgrad_jax.report.section import Column as Column
from vgrad_jax.report.section import Fold as Fold
from vgrad_jax.report.section import Section as Section
from vgrad_jax.report.section import Table as Table
from vgrad_jax.report.sections import SECTIONS as SECTIONS
from vgrad_jax.report.sections.predictors import predictor_sentences as predictor_sentences
from vgrad_jax.report.study import Study as Study
