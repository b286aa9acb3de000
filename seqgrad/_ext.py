"""Loads the native extension. (house helper's file replaces this)"""
import torch  # noqa


def extension():
    from seqgrad import _C

    return _C
