package lesionlite.app

import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageCapture
import androidx.camera.core.ImageCaptureException
import androidx.camera.view.CameraController
import androidx.camera.view.LifecycleCameraController
import androidx.lifecycle.LifecycleOwner
import java.io.ByteArrayOutputStream
import java.util.concurrent.Executor

private val PREFERRED = listOf(
    CameraSelector.DEFAULT_BACK_CAMERA,
    CameraSelector.DEFAULT_FRONT_CAMERA
)

/**
 * The back camera or, where there is none, the front one. It needs the camera permission.
 *
 * @param executor runs the callbacks; it must be the main thread's
 */
class Camera(private val controller: LifecycleCameraController, private val executor: Executor) {
    private var wanted = false

    init {
        controller.setEnabledUseCases(CameraController.IMAGE_CAPTURE)
    }

    /** Calls [onOpened] with whether photos can be taken, unless the camera is closed before. */
    fun open(owner: LifecycleOwner, onOpened: (Boolean) -> Unit) {
        wanted = true
        val opened = Runnable { if (wanted) onOpened(bind(owner)) }
        controller.initializationFuture.addListener(opened, executor)
    }

    private fun bind(owner: LifecycleOwner): Boolean = try {
        controller.initializationFuture.get() // it is done; this throws what made it fail
        controller.cameraSelector = PREFERRED.first { controller.hasCamera(it) }
        controller.bindToLifecycle(owner)
        true
    } catch (_: Exception) { // whatever CameraX cannot do with this phone's cameras
        false
    }

    /** Gives a JPEG file in memory, with its orientation. It is not saved to a gallery. */
    fun take(onTaken: (ByteArray) -> Unit, onFailed: () -> Unit) {
        val jpeg = ByteArrayOutputStream()
        controller.takePicture(
            ImageCapture.OutputFileOptions.Builder(jpeg).build(),
            executor,
            object : ImageCapture.OnImageSavedCallback {
                override fun onImageSaved(output: ImageCapture.OutputFileResults) =
                    onTaken(jpeg.toByteArray())

                override fun onError(error: ImageCaptureException) = onFailed()
            }
        )
    }

    fun close() {
        wanted = false
        controller.unbind()
    }
}
