"""Nothing in any template of any scenario that AWS's APIs would refuse; and each kind of mistake is found."""

import copy
import json

import pytest

from infra.aws_limits import complaints, unheld
from infra.aws_mistakes import PLANTED, Change, put, resource
from infra.scenarios import OPTIONS, scenario, synthesize


def names(which: str) -> dict[str, str]:
    """The stacks' full names by the short ones."""
    manifest = json.loads((scenario(which).folder / "manifest.json").read_text())["artifacts"]
    return {
        key: each["properties"]["stackName"]
        for key, each in manifest.items()
        if each["type"] == "aws:cloudformation:stack"
    }


@pytest.mark.parametrize("which", OPTIONS)
def test_aws_would_take_everything_in_every_template(which: str) -> None:
    assert complaints(scenario(which).templates, names(which)) == []


@pytest.mark.parametrize("which", OPTIONS)
def test_of_every_text_something_is_known(which: str) -> None:
    assert unheld(scenario(which).templates, names(which)) == set()


def test_a_role_that_may_read_many_places_is_taken_too() -> None:
    """What is too long for a role's own policies the CDK moves into managed ones, which are shorter still."""
    places = ",".join(f"s3://bucket-{i:02d}/{'p' * 100}" for i in range(20))
    many = OPTIONS["adopted-kms-longest"] | {"dp.data_locations": places}
    found = synthesize(many)
    assert found.all("glue", "IAM::ManagedPolicy")
    assert complaints(found.templates, names("adopted-kms-longest")) == []


# -- that it is found


def planted(stack: str, change: Change, which: str = "defaults") -> list[str]:
    """What is complained of after a change in a copy of a stack."""
    templates = copy.deepcopy(scenario(which).templates)
    change(templates[stack])
    return complaints(templates, names(which), only=stack)


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_mistake_is_found(mistake: str) -> None:
    stack, change, said = PLANTED[mistake]
    assert [line for line in planted(stack, change) if said in line]


def test_a_text_of_which_nothing_is_known_is_found() -> None:
    templates = copy.deepcopy(scenario("defaults").templates)
    resource(templates["glue"], "Glue::Job")["Properties"]["NonOverridableArguments"]["--version"] = "x"
    assert unheld(templates, names("defaults")) == {("AWS::Glue::Job", "NonOverridableArguments/--version")}


def test_what_only_the_deployment_knows_is_measured_at_its_longest() -> None:
    """A name made of a role's, which may have 64 characters, and of the account's and the region's."""
    name = {"Fn::Join": ["", ["x" * 441, {"Ref": "JobRole014917C6"}, {"Ref": "AWS::Region"}]]}
    change = put("Glue::SecurityConfiguration", "Name", value=name)
    assert any("is above 255 (519)" in line for line in planted("glue", change))


def test_the_stacks_names_are_held_too() -> None:
    found = complaints(scenario("defaults").templates, {"glue": "differential_privacy-glue"})
    assert [line for line in found if "the stack's name" in line] == [
        "glue: the stack's name 'differential_privacy-glue'"
    ]
