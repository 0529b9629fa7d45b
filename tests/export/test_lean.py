import gc
from copy import deepcopy

import pytest
from torch.fx.traceback import NodeSource

from lesionlite.export.lean import lean


def test_histories_are_shared_and_garbage_stays_inside_only() -> None:
    source = NodeSource(None)
    with pytest.raises(KeyError), lean():
        with lean():
            pass
        assert deepcopy(source) is source and not gc.isenabled()
        raise KeyError
    assert gc.isenabled()
    assert deepcopy(source) is not source  # else half of `lean` can go


def test_it_does_not_switch_on_what_was_off() -> None:
    gc.disable()
    try:
        with lean():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
