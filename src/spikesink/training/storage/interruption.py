"""How signals end a run: once it has something to save they are kept until a step is complete, before they end it at
once."""

import signal

AFFECTS_RESULTS = False

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Interrupted(BaseException):
    """A signal asked the run to stop. No Exception, so that no library takes it for one of its own."""

    def __init__(self, number: int, where: str) -> None:
        self.exit_code = 128 + number
        super().__init__(f"stopped by {signal.Signals(number).name} {where}, start it again to resume")


def end_at_once(number: int, frame: object) -> None:
    """Handler for as long as there is nothing to save, such as while a checkpoint is read or code compiled."""
    raise Interrupted(number, "while nothing new was to be saved")


def install(handler: object) -> None:
    for number in SIGNALS:
        signal.signal(number, handler)
