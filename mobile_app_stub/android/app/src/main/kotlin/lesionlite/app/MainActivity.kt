package lesionlite.app

import android.Manifest
import android.content.pm.PackageManager
import android.graphics.ImageDecoder
import android.os.Bundle
import androidx.activity.ComponentActivity
import androidx.activity.compose.rememberLauncherForActivityResult
import androidx.activity.compose.setContent
import androidx.activity.enableEdgeToEdge
import androidx.activity.result.PickVisualMediaRequest
import androidx.activity.result.contract.ActivityResultContracts.PickVisualMedia
import androidx.activity.result.contract.ActivityResultContracts.RequestPermission
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.saveable.rememberSaveable
import androidx.compose.runtime.setValue
import androidx.compose.ui.platform.LocalContext
import androidx.lifecycle.compose.collectAsStateWithLifecycle
import androidx.lifecycle.viewmodel.compose.viewModel
import java.nio.ByteBuffer

class MainActivity : ComponentActivity() {
    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        enableEdgeToEdge()
        setContent { AppTheme { App() } }
    }
}

@Composable
private fun App(viewModel: MainViewModel = viewModel()) {
    val state by viewModel.state.collectAsStateWithLifecycle()
    var inCamera by rememberSaveable { mutableStateOf(false) }
    val context = LocalContext.current
    val pick =
        rememberLauncherForActivityResult(PickVisualMedia()) { uri ->
            // Null if the user went back without choosing.
            if (uri != null) {
                viewModel.classify(ImageDecoder.createSource(context.contentResolver, uri))
            }
        }
    val permit =
        rememberLauncherForActivityResult(RequestPermission()) { granted ->
            if (granted) inCamera = true else viewModel.report(R.string.camera_refused)
        }
    if (inCamera) {
        CameraScreen(
            state.contract,
            onTaken = { jpeg ->
                inCamera = false
                viewModel.classify(ImageDecoder.createSource(ByteBuffer.wrap(jpeg)))
            },
            onFailed = {
                inCamera = false
                viewModel.report(R.string.camera_failed)
            },
            onBack = { inCamera = false }
        )
    } else {
        MainScreen(
            state,
            hasCamera =
                context.packageManager.hasSystemFeature(PackageManager.FEATURE_CAMERA_ANY),
            onChoose = { pick.launch(PickVisualMediaRequest(PickVisualMedia.ImageOnly)) },
            onTake = { permit.launch(Manifest.permission.CAMERA) },
            onAccelerator = viewModel::choose
        )
    }
}
