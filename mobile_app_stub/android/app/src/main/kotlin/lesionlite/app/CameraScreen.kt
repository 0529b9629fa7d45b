package lesionlite.app

import androidx.activity.compose.BackHandler
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
import lesionlite.core.Contract

/** The camera's preview and a button that takes a photo. It needs the camera permission. */
@Composable
fun CameraScreen(
    contract: Contract?,
    onTaken: (ByteArray) -> Unit,
    onFailed: () -> Unit,
    onUnavailable: () -> Unit,
    onBack: () -> Unit
) {
    val context = LocalContext.current
    val owner = LocalLifecycleOwner.current
    val controller = remember { LifecycleCameraController(context) }
    val camera = remember { Camera(controller, context.mainExecutor) }
    var ready by remember { mutableStateOf(false) }
    DisposableEffect(owner) {
        camera.open(owner) { opened -> if (opened) ready = true else onUnavailable() }
        onDispose { camera.close() }
    }
    BackHandler(onBack = onBack)
    AppScreen(contract) {
        val preview = stringResource(R.string.preview)
        Column {
            AndroidView(
                factory = { PreviewView(it).also { view -> view.controller = controller } },
                Modifier.weight(1f).fillMaxWidth().semantics { contentDescription = preview }
            )
            FlowRow(Modifier.padding(16.dp), Arrangement.spacedBy(16.dp)) {
                FilledTonalButton(onBack) { Text(stringResource(R.string.back)) }
                Button(
                    onClick = {
                        ready = false // until this photo is taken
                        camera.take(onTaken, onFailed)
                    },
                    enabled = ready
                ) { Text(stringResource(R.string.release)) }
            }
        }
    }
}
