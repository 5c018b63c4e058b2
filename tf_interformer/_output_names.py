"""What a served model calls its outputs."""


def output_name(what: str, task: str, tasks: int) -> str:
    """The name of one output; with several tasks it begins with the task.

    Example:

    >>> output_name("probability", "click", 1), output_name("logit", "click", 2)
    ('probability', 'click_logit')
    """
    return what if tasks == 1 else f"{task}_{what}"
