"""Pictures, geometries, cubes and lazy frames in an input of a client."""

from __future__ import annotations

import base64
import json
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from runagent import ValidationError, attachment
from runagent.encode import to_json


def sent(value: Any) -> Any:
    return json.loads(to_json({"x": value}))["x"]


class Place:
    """A geometry as shapely has them."""

    __geo_interface__: ClassVar = {"type": "Point", "coordinates": (1.0, 2.0)}


def test_figures_and_images_become_attachments() -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([1, 2])
    for value in (figure, Image.new("RGBA", (3, 2))):
        found = sent(value)
        assert found["mime"] == "image/png"
        assert base64.b64decode(found["data"]).startswith(b"\x89PNG")
    with pytest.raises(ValidationError, match=r'input_data\["x"\]: Axes .* pass the figure'):
        sent(figure.axes[0])


def test_an_image_that_came_as_a_jpeg_stays_one(tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    Image.new("RGB", (4, 4), "red").save(file)
    with Image.open(file) as image:
        assert sent(image)["mime"] == "image/jpeg"
    with pytest.raises(ValidationError, match=r'pass its convert\("RGB"\)'):
        sent(Image.new("CMYK", (3, 3)))


def test_paths_and_bytes_stay_what_they_were() -> None:
    assert sent(Path("/a/b.png")) == "/a/b.png"
    assert sent(b"hi") == "aGk="


def test_an_attachment_tells_its_type_from_its_content(tmp_path: Path) -> None:
    kinds = {
        b"\x89PNG\r\n\x1a\n": "image/png",
        b"\xff\xd8\xff\xe0": "image/jpeg",
        b"GIF89a": "image/gif",
        b"RIFF\x04\x00\x00\x00WEBPVP8 ": "image/webp",
        b"%PDF-1.7": "application/pdf",
        b"anything": "application/octet-stream",
        b"": "application/octet-stream",
    }
    for content, mime in kinds.items():
        for value in (content, bytearray(content), memoryview(content)):
            data = base64.b64encode(content).decode()
            assert attachment(value) == {"mime": mime, "data": data}
    for name, mime in {"notes.md": "text/markdown", "x": "application/octet-stream"}.items():
        (tmp_path / name).write_text("# Notes")
        assert attachment(str(tmp_path / name))["mime"] == mime


def test_geometries_become_geojson() -> None:
    frame = pd.DataFrame({"place": [Place()]})
    assert sent(frame) == [{"place": {"type": "Point", "coordinates": [1.0, 2.0]}}]


class Converted:
    """A table of a library that turns it into one of pandas."""

    def to_pandas(self) -> Any:
        return pd.DataFrame({"a": [1, 2]})


class Remote:
    """A table on a cluster, as of Spark."""

    def toPandas(self) -> pd.DataFrame:
        raise AssertionError("this may take hours")


class Tensor:
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.arange(4.0).reshape(2, 2)


def test_tables_and_arrays_of_libraries_that_nobody_has_heard_of() -> None:
    assert sent(Converted()) == [{"a": 1}, {"a": 2}]
    assert sent(Tensor()) == [[0.0, 1.0], [2.0, 3.0]]
    with pytest.raises(ValidationError, match="on a cluster; pass its toPandas"):
        sent(Remote())


def test_cubes_and_lazy_frames_are_tables() -> None:
    import xarray as xr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of dask about its own future
        import dask.dataframe as dd

    cube = xr.DataArray([[1, 2]], dims=("x", "y"), coords={"x": [10]}, name="n")
    records = [{"x": 10, "y": 0, "n": 1}, {"x": 10, "y": 1, "n": 2}]
    assert sent(cube) == sent(cube.to_dataset()) == records
    assert sent(cube[0, 0]) == 1
    assert sent(cube[0, 0].to_dataset()) == {"n": 1}
    from_pandas: Any = dd.from_pandas
    lazy = from_pandas(pd.DataFrame({"a": [1, 2, 3]}), npartitions=2)
    assert sent(lazy) == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert sent(lazy.a) == [1, 2, 3]
    assert sent(lazy.a.sum()) == 6


@pytest.mark.parametrize(
    ("value", "hint"),
    [(object(), "PIL image"), (print, "Call it"), (json, "plt.gcf()")],
)
def test_the_rest_is_refused_with_a_hint(value: Any, hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        sent(value)
    assert hint in (caught.value.hint or "")
