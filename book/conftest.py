"""For nbval's runs of the book: the option ``--fill-cache``."""

from ortholab_nbval import (  # noqa: F401
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_runtest_call,
)
