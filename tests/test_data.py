import numpy as np
import pytest
from sklearn.datasets import make_circles
from sklearn.preprocessing import MinMaxScaler

import vgrad_jax as vg
from vgrad_jax.data import data_fingerprint


def test_the_articles_data_is_pinned():
    data = vg.load_data(vg.Data())
    assert [array.shape for array in data] == [(500, 2), (500,), (500, 2), (500,)]
    assert np.bincount(data.train_y).tolist() == [252, 248]
    assert np.bincount(data.test_y).tolist() == [248, 252]
    np.testing.assert_allclose(data.train_x[0], [0.746871, -0.057951], atol=1e-6)
    np.testing.assert_allclose(data.test_x[-1], [0.834128, 0.429208], atol=1e-6)
    assert data.train_x.dtype == np.float32


def test_the_articles_data_by_scikit_learns_own_scaler():
    x, y = make_circles(n_samples=1000, noise=0.1, random_state=1)
    x = MinMaxScaler(feature_range=(-1, 1)).fit_transform(x)
    data = vg.load_data(vg.Data())
    np.testing.assert_allclose(np.concatenate([data.train_x, data.test_x]), x, atol=1e-6)
    np.testing.assert_array_equal(np.concatenate([data.train_y, data.test_y]), y)


def test_digits_and_files(tmp_path):
    digits = vg.load_data(vg.Data("digits"))
    assert digits.train_x.shape == (898, 64)
    assert set(digits.test_y.tolist()) == set(range(10))
    table = np.column_stack([np.arange(12.0), np.arange(12.0) ** 2, np.arange(12) % 3])
    csv, npz = tmp_path / "a.csv", tmp_path / "a.npz"
    np.savetxt(csv, table, delimiter=",", header="a,b,class", comments="")
    np.savez(npz, x=table[:, :2], y=table[:, 2])
    a, b = (vg.load_data(vg.Data("file", path=str(path), train_samples=8)) for path in (csv, npz))
    assert data_fingerprint(a) == data_fingerprint(b)
    assert a.test_x.shape == (4, 2)


def test_a_file_that_has_changed_is_read_again(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,0\n2,1\n3,0\n4,1\n")
    before = data_fingerprint(vg.load_data(vg.Data("file", path=str(path))))
    import os

    path.write_text("1,0\n2,1\n3,0\n9,1\n")
    os.utime(path, ns=(1, 1))
    assert data_fingerprint(vg.load_data(vg.Data("file", path=str(path)))) != before


def test_loaded_data_is_shared_and_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        vg.load_data(vg.Data()).train_x[0] = 0


def test_numpys_numbers_are_numbers():
    data = vg.Data(samples=np.int64(10), train_samples=np.int64(4), random_state=np.int64(3))
    assert vg.Data.from_json(data.to_json()) == data
    with pytest.raises(vg.InputError, match="4294967295 at the most"):
        vg.Data(random_state=2**40)


def test_a_missing_file_is_refused():
    with pytest.raises(vg.InputError, match="no file"):
        vg.load_data(vg.Data("file", path="nowhere.csv"))


def test_many_classes_need_the_other_loss():
    experiment = vg.Experiment(data=vg.Data("digits"), training=vg.Training(epochs=1))
    import jax

    with pytest.raises(vg.InputError, match="softmax_cross_entropy"):
        vg.train(experiment, jax.random.key(0))
    softmax = vg.Experiment(
        data=vg.Data("digits"),
        optimizer=vg.Optimizer("adam", learning_rate=0.01),
        mlp=vg.MLP(hidden=(32,), activation="relu"),
        training=vg.Training(epochs=5, loss="softmax_cross_entropy"),
    )
    assert vg.train(softmax, jax.random.key(0)).records.test_accuracy[-1] > 0.85
