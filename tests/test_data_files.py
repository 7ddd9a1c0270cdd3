"""Every row of a file is read rightly, or refused with its row and column as a spreadsheet counts them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vgrad_jax as vg
from vgrad_jax.data_files import read_table

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
        ("NA,1,0\n" + ROWS, r"row 1, column A is missing or not finite: 'NA'"),
        ("1.0,,0\n" + ROWS, r"row 1, column B is missing or not finite: ''"),
        ("NA,NaN,?\n" + ROWS, r"row 1, column A is missing"),
        (ROWS + "1,nan,0\n", r"row 10, column B is missing or not finite: 'nan'"),
        (ROWS + "1,2,\n", r"row 10, column C is missing"),
        (ROWS + ",,\n1,2,0\n", r"row 10, column A is missing"),
        (ROWS + "1,2,0\n,,\n", r"row 11, column A is missing"),
        (ROWS + "-inf,2,1\n", r"row 10, column A is missing or not finite"),
        (ROWS + "# 1,2,0\n", r"row 10, column A is not a number: '# 1'"),
        (ROWS + "1,2,0 # wrong\n", r"row 10, column C is not a number: '0 # wrong'"),
        (ROWS + "1_000,2,0\n", r"row 10, column A is not a number: '1_000'"),
        (ROWS + "\u0661,2,0\n", r"row 10, column A is not a number"),
        (ROWS + "0x1p3,2,0\n", r"row 10, column A is not a number"),
        (ROWS + "\n\n1e308,2,0\n", r"row 12, column A is 1e308, larger than float32"),
        (ROWS + "1,2\n", r"row 10 has 2 cells; row 1 has 3"),
        (ROWS + "1,2,3,4\n", r"row 10 has 4 cells; row 1 has 3"),
        (ROWS + "1,2,0.5\n", r"row 10, column C is 0\.5; classes 0, 1, \.\.\. are whole"),
        (ROWS + "1,2,-1\n", r"row 10, column C is -1; classes"),
        (ROWS + "1,2,7\n", r"row 10, column C has the class 7, but no row has the class 2"),
        ("1,2,0\n3,4,0\n1,1,0\n", r"every row has the class 0"),
        ("a;b;c\n" + ROWS.replace(",", ";"), r"separated by commas"),
        ("a,class\nred,0\nblue,1\n", r"row 2, column A is not a number: 'red'"),
        (
            "0,1,2\n" + ROWS,
            r"row 1 may hold the names of the columns.*header=True or header=False",
        ),
        ("1,2,3\n" + ROWS, r"row 1 may hold the names"),
        ("0,1\n0.5,1\n1.5,0\n", r"row 1 may hold the names"),
        ("2019,2020,1\n0.5,1.25,0\n1.5,2.5,1\n3.5,0.5,0\n", r"row 1 may hold the names"),
        ("sepal,1.5,class\n" + ROWS, r"row 1, column A is not a number: 'sepal'.*header=True"),
        (ROWS + "1\x00,2,0\n", r"row 10, column A is not a number"),
        ("class\n0\n1\n", r"needs features and a class"),
        ("", "it has no rows"),
        ("a,b\n", "it has no rows"),
    ],
)
def test_a_cell_that_cannot_be_used_is_named(write, text, message):
    with pytest.raises(vg.InputError, match=message):
        load(write(text))


def test_other_encodings_are_refused(write):
    with pytest.raises(vg.InputError, match="cannot be read as a table"):
        load(write("höhe,b,class\n" + ROWS, encoding="utf-16"))


def test_a_header_of_numbers_is_told_by_the_user(write):
    path = write("0,1,2\n" + ROWS + "3,4,2\n")
    assert num_rows(load(path, header=True)) == 10
    assert num_rows(load(path, header=False)) == 11
    assert num_rows(load(write("0,1\n1,0\n2,1\n"))) == 3  # Two columns of whole numbers may be a table without names.


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
        ({"x": [[1, 2], [3, np.nan]], "y": [0, 1]}, r"x\[1, 1\] is nan"),
        ({"x": np.ones((4, 2)), "y": [0, 0, 0, 0]}, "every row has the class 0"),
        ({"x": np.ones((4, 2)), "y": [0, 1, 3, 1]}, r"y\[2\] has the class 3"),
        ({"x": np.ones((4, 2)) * 1j, "y": [0, 1, 0, 1]}, "must hold real numbers; got complex"),
        ({"x": np.array([["1", "2"]] * 2), "y": [0, 1]}, "must hold real numbers"),
        ({"x": np.ones((4, 2)), "y": [0, 1, np.inf, 1]}, r"y\[2\] is inf; classes"),
        ({"x": np.ones((4, 2)), "y": [0, np.nan, 0, 1]}, r"y\[1\] is nan; classes"),
        ({"x": np.ones((4, 2)), "y": np.eye(4)}, r"needs x \(rows, features\)"),
        ({"x": np.ones((4, 2))}, "y is not a file"),
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
    if len({label for _, label in rows}) < 2:
        with pytest.raises(vg.InputError):
            read_table(path, header=False)
        return
    x, y = read_table(path, header=False)
    table = np.loadtxt(path, delimiter=",", ndmin=2)
    np.testing.assert_array_equal(np.column_stack([x, y]), table)
