"""A disk that forgets: what stays of a folder when the power fails, at every moment of a program's run.

    program ─► open, rename, remove, mkdir ─► moment: tree as the system shows it
            └► fsync of a file or folder    ─► what the disk surely holds

A system keeps names and contents in memory until `fsync`. After a power cut each may be there or not. The recorder
looks at the real files, so that it sees writers of every kind: this package, Zarr, and Python itself.
"""

import os
import random
import sys
from contextlib import contextmanager
from pathlib import Path

EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate")
"""Audit events of Python that come before a change of files."""


class Disk:
    """Recorder of a folder, and of what `fsync` has forced onto the disk.

    A tree is a dictionary: path to content, or to None for a folder.
    """

    def __init__(self, root):
        self.root = Path(root)
        self.is_recording = False
        self.contents = {}  # Number of each file to the content that the disk surely holds.
        self.names = {}  # Number of each folder to the names that the disk surely holds, each with its number.
        self.states = []
        self._read = {}  # Number, size and time of each file to its content, so that it is read once.

    @contextmanager
    def recording(self):
        fsync = os.fsync

        def recorded(descriptor):
            fsync(descriptor)
            self.is_recording, before = False, self.is_recording
            self._synced(descriptor)
            self.is_recording = before
            self._moment()

        sys.addaudithook(self._audit)  # It stays for good, and does nothing outside of the recording.
        os.fsync, self.is_recording = recorded, True
        try:
            yield self
        finally:
            self._moment()
            os.fsync, self.is_recording = fsync, False

    def _audit(self, event, arguments):
        if self.is_recording and event in EVENTS:
            writes = event != "open" or (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes and str(arguments[0]).startswith(str(self.root)):
                self._moment()

    def _synced(self, descriptor):
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        number = os.fstat(descriptor).st_ino
        if path.is_dir():
            self.names[number] = {name: (path / name).lstat().st_ino for name in os.listdir(path)}
        else:
            self.contents[number] = path.read_bytes()

    def _moment(self):
        """Note the tree as it is, with the numbers of its files, and what is surely on the disk."""
        self.is_recording, before = False, self.is_recording
        tree = {}
        for folder, folders, files in os.walk(self.root):
            own = Path(folder)
            for name in folders:
                tree[own / name] = ((own / name).stat().st_ino, None)
            for name in files:
                state = (own / name).stat()
                known = state.st_ino, state.st_size, state.st_mtime_ns
                if known not in self._read:
                    self._read[known] = (own / name).read_bytes()
                tree[own / name] = (state.st_ino, self._read[known])
        self.states.append((tree, dict(self.contents), {k: dict(v) for k, v in self.names.items()}))
        self.is_recording = before

    def after_power_cuts(self, seed=0):
        """Return the different trees that power cuts may leave, without those that come twice."""
        rng = random.Random(seed)
        trees = []
        for tree, contents, names in self.states:
            trees.append({self._short(path): content for path, (_, content) in tree.items()})  # Nothing is lost.
            trees.append(self._contents_lost(tree, contents))
            trees.append(self._names_lost(tree, contents, names, lambda: True))
            trees += [self._names_lost(tree, contents, names, lambda: rng.random() < 0.5) for _ in range(2)]
        return list({tuple(sorted(tree.items())): tree for tree in trees}.values())

    def _contents_lost(self, tree, contents):
        """Keep every name; a file that was never forced onto the disk is empty."""
        return {
            self._short(path): None if content is None else contents.get(number, b"")
            for path, (number, content) in tree.items()
        }

    def _names_lost(self, tree, contents, names, is_lost):
        """Return the tree with the names that the disk surely holds, and with some of the others."""
        by_number = dict(tree.values())
        kept, waiting = {}, [(self.root, self.root.stat().st_ino)]
        while waiting:
            folder, number = waiting.pop()
            now = {path.name: own for path, (own, _) in tree.items() if path.parent == folder}
            sure = names.get(number, {})
            for name in sorted(now.keys() | sure.keys()):
                versions = {own.get(name) for own in (now, sure)}
                own = sure.get(name) if len(versions) == 1 or is_lost() else now.get(name)
                if own is None:
                    continue
                if by_number.get(own, b"") is None or own in names:
                    kept[self._short(folder / name)] = None
                    waiting.append((folder / name, own))
                else:
                    kept[self._short(folder / name)] = contents.get(own, b"")
        return kept

    def _short(self, path):
        return path.relative_to(self.root).as_posix()


def restore(tree, root):
    """Write a tree into a new folder."""
    root = Path(root)
    root.mkdir(parents=True)
    for name, content in sorted(tree.items()):
        path = root / name
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
