"""How signals end a run.

Until the process has completed a step, it has nothing to save: a signal ends the run at once. Later a signal ends the
run when the current step is complete and a checkpoint is written.
"""

import signal

AFFECTS_RESULTS = False

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Interrupted(BaseException):
    """A signal asked the run to stop. A BaseException, so that no library catches it with its own errors."""

    def __init__(self, number: int, where: str) -> None:
        self.exit_code = 128 + number
        super().__init__(f"stopped by {signal.Signals(number).name} {where}, start it again to resume")


def end_at_once(number: int, frame: object) -> None:
    """Signal handler while there is nothing to save, for example while a checkpoint is read or code is compiled."""
    raise Interrupted(number, "while nothing new was to be saved")


def install(handler: object) -> None:
    for number in SIGNALS:
        signal.signal(number, handler)
