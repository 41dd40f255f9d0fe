"""Slices of a GPU around the steps of training frameworks. Neither is imported before it is used,
and both work with anything that follows their signatures."""

from __future__ import annotations

import importlib
import typing

from ._quota import coordinator


def _callback_base() -> type:
    """RLlib's class of callbacks, under its name of now or of before; object without Ray."""
    for module, name in (
        ("ray.rllib.callbacks.callbacks", "RLlibCallback"),
        ("ray.rllib.algorithms.callbacks", "DefaultCallbacks"),
    ):
        try:
            return typing.cast(type, getattr(importlib.import_module(module), name))
        except (ImportError, AttributeError):
            continue
    return object


def rllib_callback(
    name: str,
    component: str,
    *,
    ms: float | None = None,
    gpu: str = "gpu0",
    priority: str = "normal",
) -> type:
    """A class for ``AlgorithmConfig.callbacks()``: each training_step() of the algorithm is a slice
    of the GPU, as Coordinator.gpu_slice() takes it, of the coordinator of that name.

    The coordinator is attached to in the process of the algorithm, when that is made; it must exist
    by then. Errors of the coordinator come out of the algorithm's train().
    """

    base = _callback_base()

    def on_algorithm_init(self: typing.Any, *, algorithm: typing.Any, **kwargs: typing.Any) -> None:
        if base is not object:
            getattr(super(callback, self), "on_algorithm_init")(algorithm=algorithm, **kwargs)
        self.coordinator = coordinator(name)
        turn = self.coordinator.gpu_slice(component, ms=ms, gpu=gpu, priority=priority)
        algorithm.training_step = turn(algorithm.training_step)

    doc = "Each training_step() is a slice of the GPU."
    callback = type(
        "SliceCallback", (base,), {"__doc__": doc, "on_algorithm_init": on_algorithm_init}
    )
    return callback


class SlicedEnv:
    """A Gymnasium environment whose step() and reset() each are a turn, for simulations that run
    on the GPU. Everything else is the environment's own."""

    def __init__(self, env: typing.Any, turn: typing.Any) -> None:
        """turn: of Coordinator.gpu_slice() or Coordinator.lease()."""
        self.env = env
        self._turn = turn

    def step(self, action: typing.Any) -> typing.Any:
        """As of the environment."""
        with self._turn:
            return self.env.step(action)

    def reset(self, **kwargs: typing.Any) -> typing.Any:
        """As of the environment."""
        with self._turn:
            return self.env.reset(**kwargs)

    def __getattr__(self, name: str) -> typing.Any:
        return getattr(self.env, name)
