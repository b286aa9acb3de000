"""Several networks on one task, several seeds each: the common frame of the field's training experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from seqgrad.experiments._result import Progress, Result, median, one_of, positive, reporter, spread_out
from seqgrad.experiments._training import Arm, Run, Task, train_once
from seqgrad.experiments.claims import Claim, judge, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Trials(Result):
    """``runs[network]``: one trained network per seed, with its score, its learning curve and its gradient flow.

    ``steps`` counts training steps, ``length`` is the task's.
    """

    kinds: ClassVar[tuple[str, ...]] = ("outcome", "flow", "learning")
    task: ClassVar[Task]
    arms: ClassVar[Mapping[str, Arm]]

    length: int
    steps: int
    seeds: int
    runs: dict[str, list[Run]]

    @property
    def floor(self) -> float:
        """The score of whoever knows the task and remembers nothing."""
        raise NotImplementedError(f"{type(self).__name__} has to say what its floor is")

    def score(self, network: str) -> float:
        """Median over seeds of the score on fresh data."""
        return median([run.score for run in self.runs[network]])

    def success(self, network: str) -> float:
        """Share of seeds that reach the task's goal."""
        return sum(self.task.reached(run.score) for run in self.runs[network]) / len(self.runs[network])

    def learnt_at(self, network: str) -> float:
        """Median over seeds of the training steps until it was learnt; inf counts those that never learn."""
        return median([float("inf") if run.learnt_at is None else run.learnt_at for run in self.runs[network]])

    def got_there(self, network: str) -> float:
        """Share of seeds that had learnt it at some time, whether or not they still know it at the end."""
        return sum(run.learnt_at is not None for run in self.runs[network]) / len(self.runs[network])

    def ratio(self, network: str, *, trained: bool) -> float:
        """Median over seeds of the gradient at the first timestep over that at the last, before or after training."""
        return median([run.ratio(trained=trained) for run in self.runs[network]])

    def horizon(self, network: str, *, trained: bool) -> float:
        """Median over seeds: how many steps back the gradient stays above a thousandth of its last value."""
        return median([float(run.horizon(trained=trained)) for run in self.runs[network]])

    def flow(self, network: str, *, trained: bool) -> list[float]:
        """Median over seeds of the gradient norm at every t = 1..T, relative to t = T."""
        curves = [run.after if trained else run.before for run in self.runs[network]]
        return [median(values) for values in zip(*curves, strict=True)]

    def rows(self) -> list[dict[str, Any]]:
        """One row per trained network."""
        return [
            {
                "network": network, "seed": run.seed, "score": run.score, "reached": self.task.reached(run.score),
                "learnt_at": run.learnt_at, "ratio_before": run.ratio(trained=False),
                "ratio_after": run.ratio(trained=True), "horizon_before": run.horizon(trained=False),
                "horizon_after": run.horizon(trained=True),
            }
            for network, runs in self.runs.items()
            for run in runs
        ]  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """Protocol, and of every network what came out beside its gradient flow, under ``NETWORK_FIGURE``."""
        arm = next(iter(self.arms.values()))
        facts: dict[str, Any] = {
            "length": self.length, "steps": self.steps, "seeds": self.seeds, "floor": self.floor,
            "hidden": arm.hidden, "batch": arm.batch, "goal": self.task.goal,
        }  # fmt: skip
        for network in self.runs:
            facts |= {
                f"{network}_rate": self.arms[network].rate, f"{network}_score": self.score(network),
                f"{network}_success": self.success(network), f"{network}_learnt_at": self.learnt_at(network),
            }  # fmt: skip
            for trained, when in ((False, "before"), (True, "after")):
                facts[f"{network}_ratio_{when}"] = self.ratio(network, trained=trained)
                facts[f"{network}_horizon_{when}"] = self.horizon(network, trained=trained)
        return facts

    def alt(self, kind: str, lang: str = "en") -> str:
        """The figure in words: what it shows, then a clause for every network that was run."""
        from seqgrad.experiments.texts import say

        facts = self.facts()
        clauses = []
        for network in self.runs:
            own = {key.removeprefix(f"{network}_"): value for key, value in facts.items()}
            own |= {"network": say(f"network.{network}", lang).replace("$", ""), "seeds": self.seeds}
            own["won"] = round(self.success(network) * self.seeds)
            own["at"] = say("trials.never", lang) if own["learnt_at"] == float("inf") else number(own["learnt_at"])
            clauses.append(say(f"trials.{one_of('kind', kind, self.kinds)}.clause", lang, **own))
        return say(f"{self.name}.{kind}.alt", lang, **facts) + " " + "; ".join(clauses) + "."

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``outcome`` (scores), ``flow`` (gradients before and after training) or ``learning`` (losses)."""
        from seqgrad.experiments import _draw_trials

        return getattr(_draw_trials, kind)(figure, self, say)

    def judged(self, claims: Mapping[str, tuple[Sequence[str], Callable[[], float]]]) -> list[Claim]:
        """Those claims whose networks were all run: id -> (networks, how it is measured)."""
        return [judge(id, measure()) for id, (need, measure) in claims.items() if set(need) <= set(self.runs)]


def train(
    name: str, task: Task, arms: Mapping[str, Arm], networks: Sequence[str], *, length: int, steps: int, seeds: int,
    workers: int, progress: bool | Progress,
) -> dict[str, list[Run]]:  # fmt: skip
    """Train every network from every seed, spread over ``workers`` processes; ``runs[network][seed]``.

    Raises:
        ValueError: an unknown network, none, one named twice, or a number below its least. TypeError: no whole number.
    """
    for network in networks:
        one_of("networks", network, tuple(arms))
    if not networks or len(set(networks)) < len(networks):
        raise ValueError(
            f"networks must name at least one, and none twice, of {', '.join(arms)}; got {list(networks)!r}"
        )
    positive("steps", steps), positive("seeds", seeds), positive("workers", workers)
    tell = reporter(progress, name)
    jobs = [(task, arms[network], length, steps, seed) for seed in range(seeds) for network in networks]
    runs = spread_out(
        train_once, jobs, workers=workers, tell=lambda k: tell(k / len(jobs), f"{k}/{len(jobs)} networks")
    )
    return {network: runs[k :: len(networks)] for k, network in enumerate(networks)}
