"""Faults on request, each one line in a test.

A fault is for the next requests that match: ``wanted`` stands in the request's method, path and
host, written ``"PUT /secrets/my-secret kv-quickstart.vault.azure.net"``. One that begins with
``"CONNECT "`` is for the proxy itself, and can be answered or held; ``"HANDSHAKE "`` is for the TLS
handshake after it, which can be held.
"""

import threading
from dataclasses import dataclass, field

from .messages import Answer


@dataclass
class Fault:
    """What goes wrong, ``times`` times, with requests that match ``wanted``.

    ``instead`` is an Answer that is sent without doing what the request asks, ``reset`` is whether the
    connection is reset instead of an answer, ``works`` whether what the request asks is done all the
    same. The answer is kept back until ``released`` is set; ``reached`` is set when it is ready.
    """

    wanted: str
    times: int = 1
    instead: Answer | None = None
    reset: bool = False
    works: bool = True
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def release(self):
        """Send the answer."""
        self.released.set()

    def wait(self):
        """Say that the answer is ready, and wait until it is released."""
        self.reached.set()
        self.released.wait()


class Faults:
    """The faults that are still to happen."""

    def __init__(self):
        self._faults = []
        self._lock = threading.Lock()

    def answer(self, wanted, answer, times=1):
        """Answer the next ``times`` requests like this, and do nothing else."""
        self._add(Fault(wanted, times, instead=answer, works=False)).release()

    def reset(self, wanted, times=1):
        """Reset the connection of the next ``times`` requests, and do nothing else."""
        self._add(Fault(wanted, times, reset=True, works=False)).release()

    def lose_answer(self, wanted, times=1):
        """Do the work of the next ``times`` requests, then reset the connection."""
        self._add(Fault(wanted, times, reset=True)).release()

    def hold(self, wanted):
        """Do the work of the next request, keep its answer back, and return the Fault."""
        return self._add(Fault(wanted))

    def take(self, request):
        """The fault for this request, or None."""
        text = f"{request.method} {request.path} {request.host}"
        with self._lock:
            for fault in self._faults:
                before_tls = ("CONNECT", "HANDSHAKE")
                fits = fault.wanted.startswith(before_tls) == (request.method in before_tls)
                if fault.times and fits and fault.wanted in text:
                    fault.times -= 1
                    return fault
        return None

    def clear(self):
        """Let nothing more go wrong, and send every answer that is kept back."""
        with self._lock:
            for fault in self._faults:
                fault.release()
            self._faults.clear()

    def _add(self, fault):
        with self._lock:
            self._faults.append(fault)
        return fault
