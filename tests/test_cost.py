"""Costs: images are counted by hand, the clock is ours."""

import pytest
import torch
from torch import nn

from medxai.attribution.checking import checking
from medxai.evaluation import cost


def test_images_are_counted_once_and_the_shortest_time_is_kept(monkeypatch):
    ticks = iter([0.0, 1.0, 0.0, 5.0, 10.0, 12.0, 20.0, 23.0])  # one that counts; then 5, 2 and 3 seconds
    monkeypatch.setattr(cost, "perf_counter", lambda: next(ticks))
    model, calls = nn.Flatten(), []

    def call() -> None:
        calls.append(None)
        model(torch.zeros(3, 1, 2))
        model(input=torch.zeros(4, 1, 2))

    assert cost.measure(call, model) == cost.Cost(images=7, seconds=2.0)
    assert len(calls) == 4
    assert not model._forward_pre_hooks


def test_a_model_that_is_not_used_costs_no_image():
    assert cost.measure(lambda: None, nn.Flatten(), repeats=1).images == 0


def test_nothing_stays_on_a_model_whose_call_fails():
    model = nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match="shapes"):
        cost.measure(lambda: model(torch.zeros(3, 5)), model)
    assert not model._forward_pre_hooks


@pytest.mark.parametrize("repeats", [0, 1.5, True])
def test_repeats_are_a_count(repeats):
    with pytest.raises(ValueError, match=f"repeats is {repeats}: expected an integer of at least 1"):
        cost.measure(lambda: None, nn.Flatten(), repeats=repeats)


def test_passes_that_only_check_are_not_counted():
    model = nn.Conv2d(3, 1, 1)

    def call():
        model(torch.zeros(4, 3, 2, 2))
        with checking():
            model(torch.zeros(5, 3, 2, 2))

    assert cost.measure(call, model, repeats=1).images == 4
