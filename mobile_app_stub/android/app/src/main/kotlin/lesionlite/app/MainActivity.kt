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

private enum class Place { MAIN, CAMERA, INFORMATION, LICENCES }

@Composable
private fun App(viewModel: MainViewModel = viewModel()) {
    val state by viewModel.state.collectAsStateWithLifecycle()
    var place by rememberSaveable { mutableStateOf(Place.MAIN) }
    val report = { problem: Int ->
        place = Place.MAIN
        viewModel.report(problem)
    }
    when (place) {
        Place.MAIN -> Main(viewModel, state, report) { place = it }

        Place.CAMERA ->
            CameraScreen(
                state.contract,
                onTaken = { jpeg ->
                    place = Place.MAIN
                    viewModel.classify(ImageDecoder.createSource(ByteBuffer.wrap(jpeg)))
                },
                onFailed = { report(R.string.camera_failed) },
                onUnavailable = { report(R.string.camera_unavailable) },
                onBack = { place = Place.MAIN }
            )

        Place.INFORMATION ->
            InfoScreen(
                state.contract,
                onLicences = { place = Place.LICENCES },
                onBack = { place = Place.MAIN }
            )

        Place.LICENCES -> LicencesScreen(state.contract) { place = Place.INFORMATION }
    }
}

@Composable
private fun Main(
    viewModel: MainViewModel,
    state: UiState,
    report: (Int) -> Unit,
    go: (Place) -> Unit
) {
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
            if (granted) go(Place.CAMERA) else report(R.string.camera_refused)
        }
    MainScreen(
        state,
        hasCamera = context.packageManager.hasSystemFeature(PackageManager.FEATURE_CAMERA_ANY),
        onChoose = { pick.launch(PickVisualMediaRequest(PickVisualMedia.ImageOnly)) },
        onTake = { permit.launch(Manifest.permission.CAMERA) },
        onAccelerator = viewModel::choose,
        onInformation = { go(Place.INFORMATION) }
    )
}
