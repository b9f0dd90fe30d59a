"""Mends pynetdicom for whoever imports this: its reactor, which stands still while answers to a request are awaited, may take one of them all the same.

It looks whether it is to wait, and then, a moment later, for a message: a request that is sent between the two loses its answer ("Received unexpected … service message").
"""
from pynetdicom.dimse import DIMSEServiceProvider

_get_msg = DIMSEServiceProvider.get_msg


def get_msg(self, block=False):
    """Only the reactor does not block: it gets nothing while somebody awaits answers."""
    if not block and not self.assoc._reactor_checkpoint.is_set():
        return None, None
    return _get_msg(self, block)


DIMSEServiceProvider.get_msg = get_msg
