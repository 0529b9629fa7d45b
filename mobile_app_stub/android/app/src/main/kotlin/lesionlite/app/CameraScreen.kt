package lesionlite.app

import android.content.Context
import androidx.activity.compose.BackHandler
import androidx.camera.core.ImageCapture
import androidx.camera.core.ImageCaptureException
import androidx.camera.view.CameraController
import androidx.camera.view.LifecycleCameraController
import androidx.camera.view.PreviewView
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.FlowRow
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.material3.Button
import androidx.compose.material3.FilledTonalButton
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.runtime.DisposableEffect
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.remember
import androidx.compose.runtime.setValue
import androidx.compose.ui.Modifier
import androidx.compose.ui.platform.LocalContext
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.contentDescription
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.unit.dp
import androidx.compose.ui.viewinterop.AndroidView
import androidx.lifecycle.compose.LocalLifecycleOwner
import java.io.ByteArrayOutputStream
import lesionlite.core.Contract

/** The camera's preview and a button that takes a photo. It needs the camera permission. */
@Composable
fun CameraScreen(
    contract: Contract?,
    onTaken: (ByteArray) -> Unit,
    onFailed: () -> Unit,
    onBack: () -> Unit
) {
    val context = LocalContext.current
    val owner = LocalLifecycleOwner.current
    val camera =
        remember {
            LifecycleCameraController(context).apply {
                setEnabledUseCases(CameraController.IMAGE_CAPTURE)
            }
        }
    var taking by remember { mutableStateOf(false) }
    DisposableEffect(owner) {
        camera.bindToLifecycle(owner)
        onDispose { camera.unbind() }
    }
    BackHandler(onBack = onBack)
    Column {
        val preview = stringResource(R.string.preview)
        AndroidView(
            factory = { PreviewView(it).apply { controller = camera } },
            Modifier.weight(1f).fillMaxWidth().semantics { contentDescription = preview }
        )
        FlowRow(Modifier.padding(16.dp), Arrangement.spacedBy(16.dp)) {
            FilledTonalButton(onBack) { Text(stringResource(R.string.back)) }
            Button(
                onClick = {
                    taking = true
                    camera.take(context, onTaken, onFailed)
                },
                enabled = !taking
            ) { Text(stringResource(R.string.release)) }
        }
        Disclaimer(contract)
    }
}

/** A JPEG file in memory, with its orientation. It is not saved to a gallery. */
private fun CameraController.take(
    context: Context,
    onTaken: (ByteArray) -> Unit,
    onFailed: () -> Unit
) {
    val jpeg = ByteArrayOutputStream()
    takePicture(
        ImageCapture.OutputFileOptions.Builder(jpeg).build(),
        context.mainExecutor,
        object : ImageCapture.OnImageSavedCallback {
            override fun onImageSaved(output: ImageCapture.OutputFileResults) =
                onTaken(jpeg.toByteArray())

            override fun onError(error: ImageCaptureException) = onFailed()
        }
    )
}
