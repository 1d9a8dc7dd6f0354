"""A workflow of five tasks by decorated workers, chained with `>>`, executed and waited for."""

# No postponed annotations: the SDK takes the inputs by the types of the parameters themselves.

from dataclasses import dataclass

from conductor.client.worker.worker_task import worker_task
from conductor.client.workflow.task.fork_task import ForkTask
from conductor.client.workflow.task.join_task import JoinTask

from tests.sdk_conformance.scripts.session import ended, metadata, workers, workflow, workflows


@dataclass
class Order:
    """What comes as an object and is taken as one."""

    item: str
    count: int


@worker_task(task_definition_name="five_price")
def price(item: str, count: int) -> int:
    """A plain value: found under `result`."""
    return len(item) * count


@worker_task(task_definition_name="five_pack")
def pack(order: Order) -> dict[str, object]:
    """A dict: the output itself."""
    return {"parcel": f"{order.count} {order.item}", "weight": order.count * 2}


@worker_task(task_definition_name="five_label")
def label(parcel: str, end: str = "]") -> str:
    """One parameter is left to its default."""
    return f"[{parcel}{end}"


@worker_task(task_definition_name="five_stamp")
def stamp(weight: int) -> None:
    """Nothing: `result` is null."""


@worker_task(task_definition_name="five_send")
def send(label: str, cost: int, stamped: object) -> dict[str, object]:
    """What the others gave."""
    return {"sent": label, "cost": cost, "stamped": stamped}


def main() -> None:
    flow = workflow("five_tasks")
    order = flow.input("order")
    first = price(task_ref_name="price", item=flow.input("order.item"), count=flow.input("order.count"))
    second = pack(task_ref_name="pack", order=order)
    third = label(task_ref_name="label", parcel=second.output("parcel"))
    fourth = stamp(task_ref_name="stamp", weight=second.output("weight"))
    fifth = send(
        task_ref_name="send",
        label=third.output("result"),
        cost=first.output("result"),
        stamped=fourth.output("result"),
    )
    fork = ForkTask(task_ref_name="both", forked_tasks=[[third], [fourth]])
    flow >> first >> second >> fork >> JoinTask(task_ref_name="joined", join_on=["label", "stamp"]) >> fifth
    flow.output_parameters({"sent": fifth.output("sent"), "cost": fifth.output("cost")})
    flow.register(overwrite=True)

    with workers():
        run = flow.execute({"order": {"item": "tea", "count": 4}}, wait_for_seconds=30)
        started = flow.start_workflow_with_input({"order": {"item": "jam", "count": 1}})
        whole = ended(started)

    assert run.status == "COMPLETED", (run.status, run.reason_for_incompletion)
    assert run.output == {"sent": "[4 tea]", "cost": 12}, run.output
    assert whole.output == {"sent": "[1 jam]", "cost": 3}, whole.output
    simple = {task.reference_task_name: task for task in whole.tasks if task.workflow_task.type == "SIMPLE"}
    assert set(simple) == {"price", "pack", "label", "stamp", "send"}
    assert simple["stamp"].output_data == {"result": None}
    assert simple["price"].worker_id
    assert metadata.get_workflow_def("five_tasks", 1).name == "five_tasks"
    assert workflows.get_workflow_status(started, include_output=True).output == whole.output


if __name__ == "__main__":
    main()
