"""The error tree: what a caller may catch."""

import inspect

import pytest

from stylecine import errors

ALL = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if not issubclass(cls, Warning)]


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_one_except_clause_catches_them_all(cls: type[Exception]) -> None:
    assert issubclass(cls, errors.StylecineError)
    assert str(cls("one plain sentence.")) == "one plain sentence."


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_each_error_says_what_it_means(cls: type[Exception]) -> None:
    assert "__doc__" in vars(cls) and cls.__doc__


def test_classes_of_errors() -> None:
    for cls in (
        errors.WeightsNotFound,
        errors.ChecksumMismatch,
        errors.LicenceNotAccepted,
        errors.WeightsMalformed,
    ):
        assert issubclass(cls, errors.WeightsError)
    assert issubclass(errors.WriterUnavailable, errors.OutputError)
    # what Python itself would raise for a bad value stays catchable as such
    assert issubclass(errors.OptionError, ValueError)
