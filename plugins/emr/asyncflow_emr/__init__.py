"""Amazon EMR as a resource of asyncflow: clusters are its instances, steps its jobs.

`manager` is the plugin, `answers` what EMR's states mean.
"""

from asyncflow_emr.manager import EmrConfig, EmrManager, EmrStep

__all__ = ["EmrConfig", "EmrManager", "EmrStep"]
