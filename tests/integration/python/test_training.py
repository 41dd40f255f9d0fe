"""Training steps as slices: stand-ins that follow the signatures of RLlib and Gymnasium, and
coordinators shared by processes."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Spawn, finish

import jimbot
from jimbot import Coordinator


@pytest.fixture
def coord() -> Iterator[Coordinator]:
    with jimbot.coordinator(
        "training",
        resources={"gpu0": {"kind": "gpu_time", "capacity": 1}},
        components={"trainer": {"weight": 3}, "advisor": {}},
    ) as coord:
        yield coord


class Algorithm:
    """What RLlib's Algorithm does with its callbacks, as far as they are concerned."""

    def __init__(self, coord: Coordinator, callback: Any) -> None:
        self.coord = coord
        self.callback = callback()
        self.callback.on_algorithm_init(algorithm=self, metrics_logger=None)

    def training_step(self) -> dict[str, int]:
        return {"allocated": self.coord.resources()[0]["allocated"]}

    def train(self) -> dict[str, int]:
        return self.training_step()


def test_each_training_step_is_a_slice(coord: Coordinator) -> None:
    algorithm = Algorithm(coord, jimbot.rllib_callback("training", "trainer", ms=50))
    assert algorithm.train() == {"allocated": 1}
    assert algorithm.train() == {"allocated": 1}
    assert coord.resources()[0]["allocated"] == 0
    assert coord.components()[0]["n_granted"] == 2


def test_the_callback_is_rllibs_where_there_is_ray(
    coord: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    class RLlibCallback:
        def on_algorithm_init(
            self, *, algorithm: Any, metrics_logger: Any = None, **kwargs: Any
        ) -> None:
            seen.append(algorithm)

    for name in ("ray", "ray.rllib", "ray.rllib.callbacks", "ray.rllib.callbacks.callbacks"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    setattr(sys.modules["ray.rllib.callbacks.callbacks"], "RLlibCallback", RLlibCallback)
    callback = jimbot.rllib_callback("training", "trainer")
    assert issubclass(callback, RLlibCallback)
    algorithm = Algorithm(coord, callback)
    assert seen == [algorithm] and algorithm.train() == {"allocated": 1}


def test_an_environments_step_is_a_turn(coord: Coordinator) -> None:
    class Env:
        spec = "x"

        def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, int]]:
            return action, 1.0, False, False, {"used": coord.resources()[0]["allocated"]}

        def reset(self, *, seed: int | None = None) -> tuple[int, dict[str, int]]:
            return seed or 0, {"used": coord.resources()[0]["allocated"]}

    env = jimbot.SlicedEnv(Env(), coord.gpu_slice("trainer"))
    assert env.reset(seed=7) == (7, {"used": 1})
    assert env.step(3) == (3, 1.0, False, False, {"used": 1})
    assert env.spec == "x" and coord.resources()[0]["allocated"] == 0


HOLD = """
import jimbot, sys
coord = jimbot.coordinator("training")
lease = coord.acquire("advisor", {"gpu0": 1})
print("held", flush=True)
sys.stdin.readline()
"""


def test_what_a_killed_process_held_is_free_again(coord: Coordinator, spawn: Spawn) -> None:
    child = spawn(HOLD)
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    with pytest.raises(jimbot.Timeout):
        coord.acquire("trainer", {"gpu0": 1}, timeout=0)
    ticket = coord.request("trainer", {"gpu0": 1})
    child.kill()
    lease = ticket.wait(20)
    assert lease is not None
    lease.release()
    assert coord.components()[1]["n_died"] == 1
    coord.audit()


def test_a_task_that_waits_notices_a_killed_process(coord: Coordinator, spawn: Spawn) -> None:
    child = spawn(HOLD)
    assert child.stdout is not None and child.stdout.readline() == "held\n"

    async def main() -> None:
        task = asyncio.create_task(coord.acquire_async("trainer", {"gpu0": 1}))
        await asyncio.sleep(0.02)
        child.kill()
        (await asyncio.wait_for(task, 20)).release()

    asyncio.run(main())


def test_a_coordinator_outlives_its_users_until_it_is_removed(spawn: Spawn) -> None:
    code = """
import jimbot
coord = jimbot.coordinator("kept", resources={"ram": {"kind": "memory", "capacity": 10}}, components={"a": {}})
lease = coord.acquire("a", {"ram": 4}, hold=600, detached=True)
print(lease.token)
"""
    token = int(finish(spawn(code)))
    with jimbot.coordinator("kept") as coord:
        assert [(x["token"], x["amounts"]) for x in coord.leases()] == [(token, {"ram": 4})]
    jimbot.unlink_coordinator("kept")
    with pytest.raises(jimbot.Error):
        jimbot.coordinator("kept")


def test_a_process_that_ends_gives_back(coord: Coordinator, spawn: Spawn) -> None:
    child = spawn(HOLD)
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    assert coord.leases()[0]["component"] == "advisor"
    finish(child)
    coord.acquire("trainer", {"gpu0": 1}, timeout=20).release()


def test_a_child_after_fork_has_nothing_to_give_back(coord: Coordinator) -> None:
    lease = coord.acquire("trainer", {"gpu0": 1})
    ticket = coord.request("advisor", {"gpu0": 1})
    child = os.fork()
    if child == 0:
        code = 1
        try:
            lease.release()
        except jimbot.State:
            code = 7
        finally:
            del lease, ticket
            coord.close()
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert lease.check() and ticket.poll() is None
    lease.release()
    second = ticket.poll()
    assert second is not None
    second.release()


def test_calls_leave_no_references(coord: Coordinator) -> None:
    amounts = {"gpu0": 1}

    def everything() -> None:
        with coord.acquire("trainer", amounts) as lease:
            lease.check(), lease.token, repr(lease), lease.deadline_ns
            with pytest.raises(jimbot.Timeout):
                coord.acquire("advisor", amounts, timeout=0)
            coord.request("advisor", amounts).cancel()
            coord.resources(), coord.components(), coord.leases(), coord.waiters(), coord.stats()
        for call in (
            lambda: coord.acquire("trainer", {"gpu0": -1}),
            lambda: coord.acquire("trainer", {"gpu9": 1}),
            lambda: coord.acquire("trainer", {"gpu0": 2}),
            lambda: lease.release(),
            lambda: jimbot.coordinator(resources={"x": {"kind": "cpu", "capacity": 0}}),
        ):
            with pytest.raises((OverflowError, jimbot.Error)):
                call()

    for _ in range(3):
        everything()
    gc.collect()
    before = [sys.getrefcount(x) for x in (amounts, coord.coord, jimbot.Timeout, jimbot.Lease)]
    for _ in range(200):
        everything()
    gc.collect()
    after = [sys.getrefcount(x) for x in (amounts, coord.coord, jimbot.Timeout, jimbot.Lease)]
    assert all(abs(a - b) < 20 for a, b in zip(after, before)), (before, after)
