"""Whether a task of one definition stands for a task of another: in name, type and all that is in it.

What a task does, its input and its policy, is no part of its shape. Used by `decide/migration_plan`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from asyncflow.model.graph import Node, NodeList

_EMPTY = NodeList(key="", kind="case", owner=None)


def is_same_shape(before: Node, after: Node, mapping: Mapping[str, str]) -> bool:
    """Whether two nodes have one shape; `mapping` says which names of the first changed.

    Cost: linear in what is in them; definitions nest no deeper than registration allows.
    """
    if before.type != after.type or mapping.get(before.ref, before.ref) != after.ref:
        return False
    if before.cases.keys() != after.cases.keys() or len(before.branches) != len(after.branches):
        return False
    pairs = [(one, after.cases[key]) for key, one in before.cases.items()]
    pairs += zip(before.branches, after.branches, strict=True)
    pairs.append((before.default or _EMPTY, after.default or _EMPTY))
    pairs.append((before.body or _EMPTY, after.body or _EMPTY))
    return all(_is_same_list(one, other, mapping) for one, other in pairs)


def _is_same_list(before: NodeList, after: NodeList, mapping: Mapping[str, str]) -> bool:
    if before.dag != after.dag or len(before.nodes) != len(after.nodes):
        return False
    return all(
        is_same_shape(one, other, mapping)
        and [mapping.get(each.ref, each.ref) for each in one.dependents]
        == [each.ref for each in other.dependents]
        for one, other in zip(before.nodes, after.nodes, strict=True)
    )


def names_within(node: Node) -> Iterator[str]:
    """The reference names of a node and of all that is in it."""
    yield node.ref
    for home in (*node.branches, *node.cases.values(), node.default, node.body):
        for inner in () if home is None else home.nodes:
            yield from names_within(inner)
