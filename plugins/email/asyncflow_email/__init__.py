"""Mail as a resource of asyncflow: every mail is a job, done when the server has taken it.

`manager` is the plugin, `message` makes mails of task inputs, `listener` mails events.
"""

from asyncflow_email.manager import EmailConfig, EmailManager
from asyncflow_email.message import Email

__all__ = ["Email", "EmailConfig", "EmailManager"]
