"""The Android app's camera: compiled against stand-ins for CameraX, and run with them."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import Shared
from tests.mobile_app_stub.android.kotlin_standins import standin_classes, write
from tests.mobile_app_stub.app_sources import ANDROID, compiled, needs_kotlin, printed, replace

APP = ANDROID / "app" / "src" / "main" / "kotlin" / "lesionlite" / "app"

CAMERA = """package camera
import androidx.camera.core.CameraSelector.Companion.DEFAULT_BACK_CAMERA as BACK
import androidx.camera.core.CameraSelector.Companion.DEFAULT_FRONT_CAMERA as FRONT
import androidx.camera.core.CameraSelector
import androidx.camera.view.LifecycleCameraController
import androidx.lifecycle.LifecycleOwner
import com.google.common.util.concurrent.ListenableFuture
import java.util.concurrent.CompletableFuture
import java.util.concurrent.Executor
import lesionlite.app.Camera

class Later(private val done: CompletableFuture<Void?> = CompletableFuture()) :
    ListenableFuture<Void?>, java.util.concurrent.Future<Void?> by done {
    private val listeners = mutableListOf<Runnable>()
    override fun addListener(listener: Runnable, executor: Executor) {
        listeners += Runnable { executor.execute(listener) }
    }
    fun finish(error: Exception? = null) {
        if (error == null) done.complete(null) else done.completeExceptionally(error)
        listeners.forEach { it.run() }
    }
}

val OWNER = object : LifecycleOwner {}

fun trial(name: String, act: (LifecycleCameraController, Camera, Later) -> Unit) {
    val controller = LifecycleCameraController(null)
    val future = Later()
    controller.initializationFuture = future
    controller.cameras = setOf(BACK, FRONT)
    val camera = Camera(controller) { it.run() }
    print("$name:")
    val failure = runCatching {
        camera.open(OWNER) { print(" opened $it") }
        act(controller, camera, future)
    }.exceptionOrNull()
    val taken = if (controller.cameraSelector == BACK) "back" else "front"
    println(" bound ${controller.bound} $taken ${failure?.message ?: ""}".trimEnd())
}

fun main() {
    trial("not ready") { _, _, _ -> }
    trial("both") { _, _, future -> future.finish() }
    trial("front alone") { controller, _, future ->
        controller.cameras = setOf(FRONT)
        future.finish()
    }
    trial("none") { controller, _, future ->
        controller.cameras = setOf<CameraSelector>()
        future.finish()
    }
    trial("broken") { _, _, future -> future.finish(IllegalStateException("unavailable")) }
    trial("left early") { _, camera, future ->
        camera.close()
        future.finish()
    }
    trial("photo") { _, camera, future ->
        future.finish()
        camera.take({ print(" ${it.size} bytes") }, { print(" failed") })
    }
}
"""

CAMERAS = {
    "not ready": "bound false back",
    "both": "opened true bound true back",
    "front alone": "opened true bound true front",
    "none": "opened false bound false back",
    "broken": "opened false bound false back",
    "left early": "bound false back",
    "photo": "opened true 0 bytes bound true back",
}


def camera_sources(folder: Path) -> Path:
    write(folder, Cameras=CAMERA)
    shutil.copy(APP / "Camera.kt", folder)
    return folder


def trials(folder: Path, source: Path, standins: Path) -> dict[str, str]:
    compiled(source, folder, standins)
    return printed(folder, standins, main="camera.CamerasKt")


@pytest.mark.slow
@needs_kotlin
def test_the_camera_opens_when_it_is_ready_the_front_one_if_it_must(
    shared: Shared, tmp_path: Path
) -> None:
    source = camera_sources(tmp_path / "source")
    assert trials(tmp_path / "right", source, standin_classes(shared)) == CAMERAS


@pytest.mark.slow
@needs_kotlin
def test_a_planted_fault_of_the_camera_shows(shared: Shared, tmp_path: Path) -> None:
    standins = standin_classes(shared)
    source = camera_sources(tmp_path / "source")
    replace(source / "Camera.kt", "if (wanted) ", "")
    replace(source / "Camera.kt", "PREFERRED.first { controller.hasCamera(it) }", "PREFERRED[0]")
    found = trials(tmp_path / "planted", source, standins)
    assert found["front alone"] == "opened false bound false back"
    assert found["left early"] == "opened true bound true back"
    waits = "controller.initializationFuture.addListener(opened, executor)"
    replace(source / "Camera.kt", waits, "opened.also { onOpened(true) }")
    assert (
        trials(tmp_path / "early", source, standins)["not ready"] == "opened true bound false back"
    )
