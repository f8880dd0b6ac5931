"""A candidate with several seeds: its mean, and when it is not measured again."""

import pytest

from detkds.errors import Rejected
from detkds.genome import Recipe
from detkds.objective import Goal, Outcome
from detkds.search.repeated import Repeated


class Seeds:
    """One objective a seed, which answers from a list and remembers the floors that it was given."""

    def __init__(self, *answers):
        self.floors = []
        self.repeated = Repeated([self._objective(answer) for answer in answers])

    def _objective(self, answer):
        def measure(recipe, goal):
            assert goal.ceiling is None  # one seed beyond the best says nothing of the mean
            self.floors.append(goal.floor)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return measure

    def __call__(self, goal=Goal()):  # noqa: B008, frozen
        return self.repeated(Recipe(), goal)


def outcome(score, partial=False, **details):
    return Outcome(score, student_steps=10, partial=partial, details=details)


def test_without_a_floor_every_seed_is_measured_and_the_mean_counts():
    found = Seeds(outcome(0.2, loss=1.0, AP50=0.4), outcome(0.3, loss=3.0, AP50=0.6))()
    # mean (.2 + .3) / 2, spread sqrt((.05^2 + .05^2) / 1)
    assert found.score == pytest.approx(0.25)
    assert found.student_steps == 20
    assert not found.partial
    assert found.details == pytest.approx({"loss": 2.0, "AP50": 0.5, "spread": 0.0707106781})


def test_one_seed_changes_nothing():
    only = outcome(0.2, loss=1.0)
    assert Seeds(only)(Goal(floor=0.9)) == only


def test_a_candidate_below_the_floor_is_not_measured_again():
    seeds = Seeds(outcome(0.2), outcome(0.9))
    found = seeds(Goal(floor=0.25))
    assert (found.score, found.student_steps, found.partial) == (0.2, 10, True)
    assert len(seeds.floors) == 1


def test_the_race_goes_on_at_the_floor_itself_and_the_next_floor_is_what_the_mean_still_needs():
    seeds = Seeds(outcome(0.3), outcome(0.2), outcome(0.9))
    found = seeds(Goal(floor=0.25, ceiling=0.5))
    # after .3 the second must reach 2 x .25 - .3 = .2, which it does; the third 3 x .25 - .5 = .25
    assert seeds.floors == pytest.approx([0.25, 0.2, 0.25])
    assert found.score == pytest.approx((0.3 + 0.2 + 0.9) / 3)
    assert not found.partial


def test_a_validation_that_was_stopped_ends_the_race_with_a_bound_below_the_floor():
    found = Seeds(outcome(0.3), outcome(0.1, partial=True))(Goal(floor=0.25))
    assert found.score == pytest.approx(0.2)
    assert found.partial
    assert Goal(floor=0.25).allows(found.score)


def test_a_mean_below_the_floor_with_all_seeds_is_a_full_measurement():
    found = Seeds(outcome(0.3), outcome(0.1))(Goal(floor=0.25))
    assert found.score == pytest.approx(0.2)
    assert not found.partial


def test_a_far_leader_asks_for_no_negative_floor():
    seeds = Seeds(outcome(0.9), outcome(0.0))
    seeds(Goal(floor=0.25))
    assert seeds.floors == [0.25, 0.0]  # 2 x .25 - .9 < 0


def test_details_that_one_seed_lacks_are_left_out():
    found = Seeds(outcome(0.2, loss=1.0), outcome(0.2, loss=2.0, AP50=0.6))()
    assert set(found.details) == {"loss", "spread"}


def test_a_rejection_by_a_later_seed_carries_all_steps():
    with pytest.raises(Rejected) as raised:
        Seeds(outcome(0.3), Rejected("nan", "loss_kd is nan at training step 3 of 10", 3))()
    assert (raised.value.kind, raised.value.student_steps) == ("nan", 13)


def test_a_bound_is_never_above_the_floor_that_it_missed():
    found = Seeds(outcome(0.1), outcome(0.2, partial=True))(Goal(floor=0.1))
    assert (found.score, found.partial) == (0.1, True)  # the mean of both would be .15
