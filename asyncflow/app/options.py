"""What a surface may say of an engine when it has one built: settings, functions, clock, durability.

The types belong to the layers below; surfaces name them by this module, so that they reach the
engine through `app` alone. `build` takes them.
"""

from __future__ import annotations

from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.plugins.registry import Registry
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.engine import EngineSettings
from asyncflow.runtime.performing import LocalFunction
from asyncflow.store.records import Durability, StoreSettings

__all__ = [
    "Clock",
    "Durability",
    "EngineSettings",
    "LocalFunction",
    "Registry",
    "ResourceSettings",
    "StoreSettings",
]
