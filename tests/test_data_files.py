"""Every row of a file is read rightly, or refused with its row and column as a spreadsheet counts them."""

import dataclasses
import gzip

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import vgrad_jax as vg
from vgrad_jax.data import data_fingerprint
from vgrad_jax.data.csv_files import read_csv
from vgrad_jax.data.table import typed

ROWS = "".join(f"{i}.5,{i % 3},{i % 2}\n" for i in range(1, 10))


@pytest.fixture
def write(tmp_path):
    def write(text, name="table.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


def load(path, **options):
    return vg.load_data(vg.Data("file", path=str(path), **options))


def num_rows(data):
    return len(data.train_y) + len(data.test_y)


@pytest.mark.parametrize(
    ("first", "rows"),
    [
        ("1.0,1,0\n", 10),
        ("\ufeff1.0,1,0\n", 10),
        ("width,height,class\n", 9),
        ("\ufeffwidth,height,class\n", 9),
        ("# width,height,class\n", 9),
        ('"a, b",height,class\n', 9),
        ("\n\n1.0,1,0\n\n", 10),
        ('"1.0","1","0"\n', 10),
        (" 1.0 , 1 ,0\r\n", 10),
        ("1e-3,-.5,+1\n", 10),
    ],
)
def test_no_row_is_lost_or_invented(write, first, rows):
    assert num_rows(load(write(first + ROWS))) == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NA,1,0\n" + ROWS, r"row 1, column A is missing; 1 such"),
        ("1.0,,0\n" + ROWS, r"row 1, column B is missing"),
        ("NA,NaN,?\n" + ROWS, r"row 1, column A is missing"),
        (ROWS + "1,nan,0\n", r"row 10, column B is missing"),
        (ROWS + "1,2,\n", r"row 10, column C is missing"),
        (ROWS + ",,\n1,2,0\n", r"row 10, column A is missing"),
        (ROWS + "1,2,0\n,,\n", r"row 11, column A is missing"),
        (ROWS + "-inf,2,1\n", r"row 10, column A is -inf, not finite"),
        (ROWS + "# 1,2,0\n", r"row 10, column A is not a number: '# 1'"),
        (ROWS + "1,2,0 # wrong\n", r"row 10, column C is not a number: '0 # wrong'"),
        (ROWS + "1_000,2,0\n", r"row 10, column A is not a number: '1_000'"),
        (ROWS + "\u0661,2,0\n", r"row 10, column A is not a number"),
        (ROWS + "0x1p3,2,0\n", r"row 10, column A is not a number"),
        (ROWS + "\n\n1e308,2,0\n", r"row 12, column A is 1e\+308, larger than float32"),
        (ROWS + "1,2\n", r"row 10 has 2 cells; row 1 has 3"),
        (ROWS + "1,2,3,4\n", r"row 10 has 4 cells; row 1 has 3"),
        (ROWS + "1,2,0.5\n", r"row 10, column C is 0\.5, and 9 of 10 targets are whole"),
        (ROWS + "1,2,7\n", r"the class '7' has 1 rows"),
        ("1,2,0\n3,4,0\n1,1,0\n", r"every row has the class 0"),
        (
            "0,1,2\n" + ROWS,
            r"row 1 may hold the names of the columns.*header=True or header=False",
        ),
        ("1,2,3\n" + ROWS, r"row 1 may hold the names"),
        ("0,1\n0.5,1\n1.5,0\n", r"row 1 may hold the names"),
        ("2019,2020,1\n0.5,1.25,0\n1.5,2.5,1\n3.5,0.5,0\n", r"row 1 may hold the names"),
        ("sepal,1.5,class\n" + ROWS, r"row 1, column A is not a number: 'sepal'.*header=True"),
        (ROWS + "1\x00,2,0\n", r"row 10, column A is not a number"),
        ("class\n0\n1\n", r"needs features and a target"),
        ("", "it has no rows"),
        ("a,b\n", "it has no rows"),
    ],
)
def test_a_cell_that_cannot_be_used_is_named(write, text, message):
    with pytest.raises(vg.InputError, match=message):
        load(write(text))


@pytest.mark.parametrize(
    ("encoding", "name"), [("utf-16", "UTF-16"), ("utf-16-be", "UTF-16"), ("latin1", "LATIN1"), ("cp1252", "LATIN1")]
)
def test_other_encodings_are_refused_with_the_way_to_utf_8(write, encoding, name):
    with pytest.raises(vg.InputError, match=f"perhaps in {name}. Save it as UTF-8, .*: iconv -f {name} -t UTF-8"):
        load(write("höhe,ß,class\n" + ROWS, encoding=encoding))


@pytest.mark.parametrize("word", ["none", "None", "null", "-"])
def test_a_word_that_may_be_a_category_or_a_gap_is_asked_for(write, word):
    text = "size,kind\n" + f"1.5,{word}\n2.5,some\n3.5,some\n4.5,{word}\n"
    for options in ({}, {"missing": "drop"}):
        with pytest.raises(vg.InputError, match=f"row 2, column B is '{word}', which may be a missing value or a cate"):
            load(write(text), **options)
    assert num_rows(load(write(text.replace(word, "no")))) == 4
    numbers = "size,kind\n" + f"{word},1\n" + "2.5,0\n3.5,1\n4.5,0\n5.5,1\n"
    assert num_rows(load(write(numbers), missing="drop")) == 4  # Among numbers it is a gap.


@pytest.mark.parametrize("rows", ["violet,z\n" + "red,a\nblue,b\n" * 4 + "green,c\n", "a,p\nb,q\nc,r\nd,s\n"])
def test_a_first_row_of_rare_words_is_no_header_unless_the_user_says_so(write, rows):
    with pytest.raises(vg.InputError, match="row 1 may hold the names of the columns or values"):
        load(write(rows))


def test_a_column_whose_name_is_a_number_is_a_target_by_name(write):
    path = write("2019,2020,kind\n" + "1.5,0,a\n2.5,1,b\n3.5,0,a\n4.5,1,b\n", "years.csv")
    fields = {"header": True, "scale": "none"}
    assert vg.data.summary_of(vg.Data(path=path, target="2020", **fields)).target == "2020"
    assert vg.data.summary_of(vg.Data(path=path, target="2", **fields)).target == "kind"  # No name, so an index.
    with pytest.raises(vg.InputError, match="target is column 7, but"):
        load(path, target="7", **fields)


@pytest.mark.parametrize("cell", ['"1"2', '"1" 2', '"1""'])
def test_a_cell_that_goes_on_behind_its_quote_is_no_number(write, cell):
    with pytest.raises(vg.InputError, match=r"cannot be read as a table|is not a number"):
        load(write(f"width,height,class\n{ROWS}{cell},2,1\n"))
    with pytest.raises(vg.InputError, match="row 2 has 2 cells; row 1 has 3"):
        load(write('"1","2","0"\n"1","2"\n'))
    for quoted in ('"5.5","2","1"\n', '"5.5";"2";"1"\n', '"5.5"\t"2"\t"1"\n'):
        assert num_rows(load(write(quoted * 6 + quoted.replace('"1"', '"0"') * 6))) == 12


def test_a_header_of_numbers_is_told_by_the_user(write):
    path = write("0,1,2\n" + ROWS + "3,4,2\n5,6,2\n")
    assert num_rows(load(path, header=True)) == 11
    assert num_rows(load(path, header=False)) == 12
    assert (
        num_rows(load(write("0,1\n1,0\n2,1\n3,0\n"))) == 4
    )  # Two columns of whole numbers may be a table without names.


def test_the_header_is_part_of_a_description_only_where_it_is_given():
    assert "header" not in vg.Data("file", path="a.csv").to_dict()
    told = vg.Data("file", path="a.csv", header=True)
    assert vg.Data.from_json(told.to_json()) == told
    for other in ({"source": "moons"}, {"source": "file", "path": "table.npz"}):
        with pytest.raises(vg.InputError, match=r"header .* goes with a CSV file"):
            vg.Data(**other, header=True)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.ones((4, 2)) * 1e39, "y": [0, 1, 0, 1]}, r"x\[0, 0\] is 1e\+39"),
        ({"x": [[1, 2], [3, np.nan]], "y": [0, 1]}, r"x\[1, 1\] is missing"),
        ({"x": np.ones((4, 2)), "y": [0, 0, 0, 0]}, "every row has the class 0"),
        ({"x": np.ones((4, 2)), "y": [0, 0, 3, 1]}, "the class '1' has 1 rows"),
        ({"x": np.ones((4, 2)) * 1j, "y": [0, 1, 0, 1]}, "must hold real numbers or texts; got complex"),
        ({"x": np.array(["2026-01-01"] * 4, "datetime64[D]")[:, None], "y": [0, 1, 0, 1]}, "it holds datetime64"),
        ({"x": np.ones((4, 2)), "y": [0, 1, np.inf, 1]}, r"y\[2\] is inf, not finite"),
        ({"x": np.ones((4, 2)), "y": [0, np.nan, 0, 1]}, r"y\[1\] is missing"),
        ({"x": np.ones((4, 2)), "y": np.eye(4)}, r"needs x \(rows, features\)"),
        ({"x": np.ones((4, 2))}, "it lacks the array 'y'"),
    ],
)
def test_arrays_that_cannot_be_used_are_named(tmp_path, arrays, message):
    path = tmp_path / "table.npz"
    np.savez(path, **arrays)
    with pytest.raises(vg.InputError, match=message):
        load(path)


def test_a_damaged_npz_is_a_sentence(tmp_path):
    path = tmp_path / "table.npz"
    np.savez(path, x=np.ones((9, 2)), y=np.arange(9) % 2)
    content = path.read_bytes()
    for damaged in (b"", content[:100], content[:-30], content[:60] + b"\xff" * 40 + content[100:]):
        path.write_bytes(damaged)
        with pytest.raises(vg.InputError):
            load(path)


def test_more_samples_than_rows_are_refused(write):
    with pytest.raises(vg.InputError, match="has 9 rows only"):
        load(write(ROWS), samples=10)


@given(st.lists(st.tuples(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(0, 1)), min_size=3))
def test_every_finite_table_is_read_as_numpy_reads_it(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("tables") / "table.csv"
    path.write_text("".join(f"{value!r},{label}\n" for value, label in rows))
    table = read_csv(path, header=False)
    np.testing.assert_array_equal(
        np.column_stack([typed(table, index) for index in range(2)]), np.loadtxt(path, delimiter=",", ndmin=2)
    )


IRIS = "width;height;kind\n" + "".join(f"{i}.5;{i * i};{('red', 'blue', 'green')[i % 3]}\n" for i in range(12))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", IRIS),
        ("a.tsv", IRIS.replace(";", "\t")),
        ("a.csv", IRIS.replace(";", ",")),
        ("a.txt", IRIS.replace(";", "|")),
        ("a.csv", "\ufeff" + IRIS.replace("red", '"red"')),
        ("a.csv", IRIS.replace("\n", "\r\n")),
    ],
)
def test_every_delimiter_gives_the_same_table(write, name, text):
    data = load(write(text, name))
    assert data_fingerprint(data) == data_fingerprint(load(write(IRIS, "b.csv")))
    summary = vg.data.summary_of(vg.Data(path=write(text, name)))
    assert summary.features == ("width", "height")
    assert (summary.target, summary.classes) == ("kind", ("blue", "green", "red"))


def test_a_packed_file_is_unpacked(write, tmp_path):
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(IRIS.encode()))
    assert data_fingerprint(load(packed)) == data_fingerprint(load(write(IRIS)))
    packed.write_bytes(gzip.compress(IRIS.encode())[:-9])
    with pytest.raises(vg.InputError, match="cannot be read as a table"):
        load(packed)


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        # Rows without numbers: names do not come again below, categories do.
        ("colour,kind\n" + "red,a\nblue,b\n" * 4, ("colour=blue", "colour=red")),
        ("red,a\nblue,b\n" * 4, ("A=blue", "A=red")),
        # Names that are years stand above texts and numbers.
        ("5.1,1,a\n4.0,2,b\n" * 4, ("A", "B")),
    ],
)
def test_a_header_is_told_from_a_row_of_categories(write, rows, names):
    assert vg.data.summary_of(vg.Data(path=write(rows))).features == names


@pytest.mark.parametrize(
    "text",
    [
        "name,2019,2020,label\nAnna,1.5,2.5,yes\nBob,2.5,3.5,no\nCarl,2.5,3.5,no\nDora,2.5,3.5,yes\n",
        "kind,a\nred,a\nblue,b\nred,b\n",
    ],
)
def test_a_row_that_may_be_a_header_is_refused(write, text):
    with pytest.raises(vg.InputError, match="row 1 may hold the names"):
        load(write(text))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (IRIS, {"target": "knid"}, "knid.*kind"),
        (IRIS, {"target": 7}, "column 7, but .* has 3 columns"),
        (IRIS, {"ignore": "kind", "target": "kind"}, "cannot be left out as well"),
        (IRIS, {"ignore": ("width", "height")}, "no column is left as a feature"),
        (IRIS, {"target": "width", "task": "classes"}, "classes are texts or whole numbers"),
        (IRIS, {"task": "numbers"}, "is not a number: 'red'"),
        (IRIS.replace("3.5", "x"), {}, r"row 5, column A is not a number: 'x', but 11 of"),
        (IRIS, {"split": "kind", "target": 0}, "row 2, column C must be 'train' or 'test'"),
        ("id,a,y\n" + "".join(f"name{i},{i},{i % 2}\n" for i in range(40)), {}, "40 different texts in 40 rows"),
    ],
)
def test_columns_that_cannot_be_used_are_named(write, text, options, message):
    with pytest.raises(vg.InputError, match=message):
        load(write(text), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "moons", "target": "y"}, "target: for own data"),
        ({"source": "file", "path": "a.csv", "missing": "mean"}, "rule for missing values"),
        ({"source": "file", "path": "a.csv", "scale": "max"}, "scale"),
        ({"source": "file", "path": "a.csv", "split": 2, "test_path": "b.csv"}, "give one"),
        ({"source": "file", "path": "a.csv", "split": 2, "train_samples": 4}, "do not go with split"),
        ({"test_path": "b.csv"}, "goes with path"),
        ({"y": [1, 2]}, "y goes with x"),
        ({"source": "arrays"}, "need them"),
        ({"source": "moons", "x": [[1.0], [2.0]], "y": [0, 1]}, "x goes without a source"),
        ({"x": np.ones((3, 2)), "y": [0, 1]}, "one target for each row"),
        ({"x": np.ones((3, 2, 2)), "y": [0, 1, 0]}, "an array .* or a data frame"),
        ({"x": [[None], [object()]], "y": [0, 1]}, "must hold real numbers or texts"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(options, message):
    with pytest.raises(vg.InputError, match=message):
        vg.Data(**options)


@pytest.fixture
def frame():
    """60 rows with a category, a code, gaps, and three classes of unequal size."""
    generator = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "length": generator.normal(size=60),
            "colour": generator.choice(["red", "blue", "green"], 60),
            "code": generator.integers(10, 13, 60),
            "kind": np.array(["a"] * 40 + ["b"] * 12 + ["c"] * 8),
        }
    )
    frame.loc[3, "length"] = np.nan
    frame.loc[[5, 8], "colour"] = None
    return frame


def rows_of(frame, data):
    """Rows of a frame in the order of a data set's rows, found by their lengths."""
    shuffled = vg.load_data(dataclasses.replace(data, scale="none"))
    lengths = np.concatenate([shuffled.train_x[:, 0], shuffled.test_x[:, 0]])
    order = [int(np.abs(frame["length"] - length).argmin()) for length in lengths]
    return frame.iloc[order[: len(shuffled.train_x)]], frame.iloc[order[len(shuffled.train_x) :]]


def test_a_frame_is_prepared_as_scikit_learn_does_it(frame):
    data = vg.Data(x=frame, target="kind", categorical="code", missing="drop", scale="standard", train_samples=38)
    loaded, summary = vg.load_data(data), vg.data.summary_of(data)
    train, test = rows_of(frame, data)
    encoder = OneHotEncoder(sparse_output=False).fit(train[["colour", "code"]])
    both = [np.column_stack([part["length"], encoder.transform(part[["colour", "code"]])]) for part in (train, test)]
    scaler = StandardScaler().fit(both[0])
    np.testing.assert_allclose(loaded.train_x, scaler.transform(both[0]), atol=1e-6)
    np.testing.assert_allclose(loaded.test_x, scaler.transform(both[1]), atol=1e-6)
    assert summary.dropped_rows == 3
    assert summary.features == (
        "length",
        *(f"colour={c}" for c in ("blue", "green", "red")),
        *(f"code={c}" for c in (10, 11, 12)),
    )
    assert np.array(summary.classes)[loaded.train_y].tolist() == train["kind"].tolist()
    # Both parts have the classes in the proportions of the 57 rows that are left.
    shares = np.bincount(np.concatenate([loaded.train_y, loaded.test_y])) / 57
    np.testing.assert_allclose(np.bincount(loaded.train_y), 38 * shares, atol=1)


def test_gaps_are_filled_from_the_training_rows(frame):
    data = vg.Data(x=frame, target="kind", missing="median", scale="none")
    loaded, summary = vg.load_data(data), vg.data.summary_of(data)
    assert summary.filled_values == 3
    x = np.concatenate([loaded.train_x, loaded.test_x])
    assert np.isfinite(x).all()
    np.testing.assert_array_equal(x[:, 1:4].sum(axis=1), 1)  # A missing colour is the commonest one.
    known = frame["length"].dropna().to_numpy(np.float32)
    is_known = np.isin(x[:, 0], known)
    others = loaded.train_x[np.isin(loaded.train_x[:, 0], known), 0]
    if is_known.all():  # The median of an odd number of rows is the length of one of them.
        values, counts = np.unique(x[:, 0], return_counts=True)
        (filled,) = values[counts == 2]
        assert len(values) == len(known)
        assert filled in np.sort(others)[len(others) // 2 - 1 : len(others) // 2 + 1]
    else:
        np.testing.assert_allclose(x[~is_known, 0], np.median(others), atol=1e-6)


def test_test_rows_teach_nothing(frame):
    other = frame.copy()
    data = vg.Data(x=frame, target="kind", missing="drop")
    _, test = rows_of(frame, data)
    other.loc[test.index, "length"] *= 100
    changed = vg.load_data(vg.Data(x=other, target="kind", missing="drop"))
    np.testing.assert_array_equal(vg.load_data(data).train_x, changed.train_x)


def test_rows_are_split_as_the_user_says(frame, tmp_path):
    frame = frame.dropna().copy()
    frame["part"] = np.where(np.arange(len(frame)) % 2, "train", "test")
    by_column = vg.load_data(vg.Data(x=frame, target="kind", split="part"))
    assert len(by_column.train_y) == len(frame) // 2
    for name, rows in frame.drop(columns="part").groupby(frame["part"]):
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    by_file = vg.load_data(vg.Data(path=tmp_path / "train.csv", test_path=tmp_path / "test.csv"))
    for one, other in zip(by_column, by_file, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_arrays_and_frames_are_known_by_their_contents(frame):
    x, y = frame[["length", "code"]].to_numpy(), frame["kind"].to_numpy()
    data = vg.Data(x=x, y=y, missing="drop")
    assert data == vg.Data(x=x.copy(), y=y.copy(), missing="drop")
    assert data != vg.Data(x=x + 1, y=y, missing="drop")
    read = vg.Data.from_json(data.to_json())
    assert read == data
    with pytest.raises(vg.InputError, match=r"make it again with Data\(x="):
        vg.load_data(read)
    assert data_fingerprint(vg.load_data(data)) == data_fingerprint(vg.load_data(dataclasses.replace(data)))


def test_polars_frames_and_parquet_files(frame, tmp_path):
    polars = pytest.importorskip("polars")
    same = polars.DataFrame({name: frame[name].to_list() for name in frame.columns})
    wanted = data_fingerprint(vg.load_data(vg.Data(x=frame, target="kind", missing="drop")))
    assert data_fingerprint(vg.load_data(vg.Data(x=same, target="kind", missing="drop"))) == wanted
    same.write_parquet(tmp_path / "a.parquet")
    parquet = vg.Data(path=tmp_path / "a.parquet", target="kind", missing="drop")
    assert data_fingerprint(vg.load_data(parquet)) == wanted
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(vg.InputError, match="cannot be read as Parquet"):
        vg.load_data(parquet)


@pytest.mark.parametrize(
    ("name", "classes", "features"), [("wine", 3, 13), ("breast_cancer", 2, 30), ("diabetes", None, 10)]
)
def test_tables_that_ship(name, classes, features):
    data = vg.load_data(vg.Data(name))
    summary = vg.data.summary_of(vg.Data(name))
    assert data.train_x.shape[1] == len(summary.features) == features
    assert (summary.classes and len(summary.classes)) == classes
    assert (data.train_x.min(), data.train_x.max()) == (-1.0, 1.0)


def test_training_rows_need_two_classes_and_test_rows_no_new_one():
    x, y = np.arange(20.0)[:, None], ["a"] * 10 + ["b"] * 10
    frame = pandas.DataFrame({"x": x[:, 0], "part": ["train"] * 10 + ["test"] * 10, "y": y})
    with pytest.raises(vg.InputError, match="all 10 training rows have the same target"):
        vg.load_data(vg.Data(x=frame, target="y", split="part"))
    frame["y"] = ["a", "b"] * 9 + ["c", "c"]
    with pytest.raises(vg.InputError, match="no training row has the class 'c'"):
        vg.load_data(vg.Data(x=frame, target="y", split="part"))
    many = np.array(["a"] * 100 + ["b"] * 100 + ["c"] * 2)
    with pytest.raises(vg.InputError, match="none of the 20 training rows would have the class 'c'"):
        vg.load_data(vg.Data(x=np.arange(202.0)[:, None], y=many, train_samples=20))


def test_arrays_that_were_changed_are_refused():
    x, y = np.arange(20.0)[:, None], np.arange(20) % 2
    data = vg.Data(x=x, y=y)
    x[:] = 0
    with pytest.raises(vg.InputError, match="have changed since"):
        vg.load_data(data)


def test_a_decimal_comma_is_no_category(write):
    text = "weight;y\n" + "".join(f"{i},5;{i % 2}\n" for i in range(12))
    with pytest.raises(vg.InputError, match=r"row 2, column A is '0,5', .* decimal comma"):
        load(write(text))


def test_a_column_of_row_numbers_without_a_name(frame, tmp_path):
    frame.dropna().to_csv(tmp_path / "a.csv")
    summary = vg.data.summary_of(vg.Data(path=tmp_path / "a.csv", target="kind"))
    assert summary.features[0] == ""
    assert summary.train_rows + summary.test_rows == len(frame.dropna())


def test_a_gap_in_numbers_beside_a_column_of_texts_of_the_same_name():
    frame = pandas.DataFrame(
        {"a=x": [1.0, 2.0, 3.0, 9.0, np.nan, 5.0] * 4, "a": ["x", "z"] * 12, "y": [0, 1, 1, 0] * 6}
    )
    data = vg.load_data(vg.Data(x=frame, target="y", missing="median", scale="none"))
    assert set(np.concatenate([data.train_x, data.test_x])[:, 0]) <= {1.0, 2.0, 3.0, 4.0, 5.0, 9.0}
