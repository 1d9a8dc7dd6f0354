"""Amazon EMR Serverless as a resource of asyncflow: job runs, started once for their token.

`manager` is the plugin; the README tells of its settings.
"""

from asyncflow_emr_serverless.manager import EmrServerlessManager, ServerlessConfig, SparkRun

__all__ = ["EmrServerlessManager", "ServerlessConfig", "SparkRun"]
