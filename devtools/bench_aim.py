"""How a row of `./dev bench mesh` says its aim."""


def aim(text, met, missing=()):
    """What beats those that are here may not beat those that are missing."""
    return f"{text}: {'NOT met' if not met else 'not known' if missing else 'met'}"
