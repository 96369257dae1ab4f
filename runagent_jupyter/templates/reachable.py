"""The lists of types, attributes, methods and arguments that a template may use."""

from __future__ import annotations

import re


def names(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


# The history of the notebook's code, and names of IPython and Python. `_`, `Out` and `_3` are data.
HIDDEN_NAMES = re.compile(r"In|_i+|_i\d+|_ih|_dh|exit|quit|get_ipython|open|__[A-Za-z]\w*")

HOSTS = names("IPython ipykernel traitlets jupyter_client jupyter_core zmq tornado comm debugpy")
"""Packages that run notebooks: their objects lead to code."""

DATA_MODULES = names(
    """
    argparse array collections datetime decimal enum fractions ipaddress numbers pathlib
    pathlib._local time types typing urllib.parse uuid zoneinfo _pydatetime _pydecimal
    """
)
"""Modules of Python whose objects hold data, where they cannot be called."""

DATA_TYPES = names(
    """
    IPython.CapturedIO IPython.HTML IPython.Image IPython.JSON IPython.Latex IPython.Markdown
    IPython.Math IPython.Pretty IPython.SVG pandas._AtIndexer pandas._LocIndexer
    pandas._iAtIndexer pandas._iLocIndexer re.Match sqlite3.Row jinja2.StrictUndefined
    """
)
"""Types that hold data although they can be called or are of a module that holds none."""

TRUSTED = names(
    """
    builtins collections datetime decimal fractions numpy pandas pathlib polars pyarrow pydantic re
    runagent runagent_jupyter sqlite3
    """
)
"""Packages whose own versions of the listed methods may be called."""

_SEQUENCE = "count index"
_SET = "difference intersection isdisjoint issubset issuperset symmetric_difference union"
_DATE = "ctime isocalendar isoformat isoweekday strftime timetuple toordinal weekday"
_TIME = "date isoformat strftime time timestamp timetz utcoffset"
_STATISTICS = "all any count max mean median min round std sum var"
_PANDAS = f"""
    {_STATISTICS} abs copy cummax cummin cumsum describe diff drop drop_duplicates dropna
    duplicated fillna first_valid_index get head idxmax idxmin isin isna isnull keys kurt
    last_valid_index mode nlargest notna notnull nsmallest nunique pct_change quantile rank
    rename reset_index sem set_index shift skew sort_index sort_values squeeze tail to_csv to_dict
    to_json to_markdown to_numpy to_string transpose value_counts
"""
_POLARS = f"""
    {_STATISTICS} bottom_k clone describe drop drop_nulls estimated_size fill_null gather_every
    get_column head is_duplicated is_empty is_null is_unique item len limit n_unique null_count
    quantile rename reverse row rows select slice sort tail to_dict to_dicts to_list to_numpy
    to_pandas to_series top_k unique value_counts write_csv write_json
"""


METHODS = {
    "builtins.str": names(
        f"""
        {_SEQUENCE} capitalize casefold center encode endswith expandtabs find isalnum isalpha
        isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper
        join ljust lower lstrip partition removeprefix removesuffix replace rfind rindex rjust
        rpartition rsplit rstrip split splitlines startswith strip swapcase title upper zfill
        """
    ),
    "builtins.bytes": names(f"{_SEQUENCE} decode endswith hex startswith"),
    "builtins.int": names("as_integer_ratio bit_count bit_length"),
    "builtins.float": names("as_integer_ratio hex is_integer"),
    "builtins.complex": names("conjugate"),
    "builtins.list": names(f"{_SEQUENCE} copy"),
    "builtins.tuple": names(_SEQUENCE),
    "builtins.range": names(_SEQUENCE),
    "builtins.dict": names("copy get items keys values"),
    "builtins.mappingproxy": names("copy get items keys values"),
    "builtins.set": names(f"{_SET} copy"),
    "builtins.frozenset": names(f"{_SET} copy"),
    "collections.Counter": names("most_common total"),
    "collections.deque": names(f"{_SEQUENCE} copy"),
    "datetime.date": names(_DATE),
    "datetime.datetime": names(f"{_DATE} {_TIME}"),
    "datetime.time": names("isoformat strftime utcoffset"),
    "datetime.timedelta": names("total_seconds"),
    "decimal.Decimal": names("as_integer_ratio is_finite is_nan normalize quantize"),
    "fractions.Fraction": names("as_integer_ratio limit_denominator"),
    "pathlib.PurePath": names("as_posix is_absolute is_relative_to"),
    "re.Match": names("end group groupdict groups span start"),
    "sqlite3.Row": names("keys"),
    "numpy.ndarray": names(
        f"""
        {_STATISTICS} argmax argmin argsort copy cumsum diagonal flatten item nonzero ptp ravel
        reshape squeeze tolist trace transpose
        """
    ),
    "numpy.generic": names("item round tolist"),
    "pandas.DataFrame": names(f"{_PANDAS} corr count items"),
    "pandas.Series": names(f"{_PANDAS} autocorr between item to_list tolist unique"),
    "pandas.Index": names(
        "all any isin isna max min nunique sort_values to_list tolist unique value_counts"
    ),
    "pandas.ExtensionArray": names("isna to_numpy tolist unique"),
    "pandas.Properties": names("day_name isocalendar month_name normalize strftime total_seconds"),
    "pandas.Timestamp": names(f"{_DATE} {_TIME} day_name isoformat month_name normalize"),
    "pandas.Timedelta": names("isoformat total_seconds"),
    "pandas.Period": names("strftime to_timestamp"),
    "polars.DataFrame": names(_POLARS),
    "polars.Series": names(_POLARS),
    "pyarrow.Table": names("column select slice to_pandas to_pydict to_pylist"),
    "pyarrow.RecordBatch": names("column select slice to_pandas to_pydict to_pylist"),
    "pyarrow.Array": names("slice to_numpy to_pandas to_pylist tolist"),
    "pyarrow.ChunkedArray": names("slice to_numpy to_pandas to_pylist"),
    "pyarrow.Scalar": names("as_py"),
    "pydantic.BaseModel": names("dict json model_dump model_dump_json"),
    "runagent_jupyter.Reply": names("to_dict to_frame to_json to_markdown"),
}
"""The methods that a template may call, by package and type. A type has those of its bases too."""

_TIMES = """
    day day_of_week day_of_year dayofweek dayofyear days hour microsecond microseconds minute month
    nanosecond quarter second seconds tz tzinfo week weekday year fold
"""

ATTRIBUTES = {
    "pandas.DataFrame": names(
        "T at attrs axes columns dtypes empty iat iloc index loc ndim shape size values"
    ),
    "pandas.Series": names(
        """
        T at attrs axes dt dtype dtypes empty hasnans iat iloc index is_unique loc name nbytes ndim
        shape size values is_monotonic_decreasing is_monotonic_increasing
        """
    ),
    "pandas.Index": names(
        f"{_TIMES} dtype empty hasnans is_unique name names ndim nlevels shape size values levels"
    ),
    "pandas.ExtensionArray": names("categories codes dtype ndim ordered shape size"),
    "pandas.Properties": names(f"{_TIMES} date time"),
    "pandas._LocIndexer": names(""),
    "pandas._iLocIndexer": names(""),
    "pandas._AtIndexer": names(""),
    "pandas._iAtIndexer": names(""),
    "numpy.ndarray": names("T dtype imag itemsize nbytes ndim real shape size"),
    "numpy.generic": names("dtype imag itemsize nbytes ndim real shape size numerator denominator"),
    "polars.DataFrame": names("columns dtypes height schema shape width"),
    "polars.Series": names("dtype name shape"),
    "polars.LazyFrame": names(""),
    "pyarrow.Table": names("column_names columns nbytes num_columns num_rows schema shape"),
    "pyarrow.RecordBatch": names("column_names columns nbytes num_columns num_rows schema shape"),
    "pyarrow.Array": names("nbytes null_count type"),
    "pyarrow.ChunkedArray": names("length nbytes null_count type"),
    "IPython.CapturedIO": names("stderr stdout"),
}
"""The attributes that a template may read, for types that have many which do more than that."""

POSITIONS = {
    **dict.fromkeys(
        names(
            """
            to_csv to_json to_markdown to_string to_numpy write_csv write_json describe to_pandas
            to_dicts copy clone
            """
        ),
        0,
    ),
    **dict.fromkeys(["between", "get", "nlargest", "nsmallest", "slice", "reshape", "item"], 2),
    **dict.fromkeys(["select", "drop", "sort"], 20),
}
"""How many arguments without a name a method of a table or an array may be given, if not one."""

KEYWORDS = names(
    """
    as_series ascending axis bottom by columns ddof decimals deep default descending drop dropna
    exclude header how include include_header index k keep keepdims length level lines
    maintain_order method n na_option na_position named normalize numeric_only offset orient pct
    percentiles periods q separator sep skipna sort subset tablefmt thresh value
    """
)
"""The arguments with a name that methods of tables and arrays may be given. None of them names a
file, a function, a place for the result or a size in memory, and none changes the table."""
