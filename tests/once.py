"""What several workers need is made by the first of them."""

import pickle

from filelock import FileLock


def made_once(tmp_path_factory, name, make):
    """Return what `make` returns, a value that can be pickled; later workers read it from a file.

    Args:
        tmp_path_factory: pytest's fixture.
        name: name of the value, one for each caller.
        make: function that takes a folder of its own, which all workers may read and none may change.
    """
    root = tmp_path_factory.getbasetemp()
    root = root.parent if root.name.startswith("popen-") else root
    folder, file = root / name, root / f"{name}.pickle"
    with FileLock(root / f"{name}.lock"):
        if not file.exists():
            folder.mkdir()
            value = make(folder)
            file.write_bytes(pickle.dumps(value))
    return pickle.loads(file.read_bytes())
