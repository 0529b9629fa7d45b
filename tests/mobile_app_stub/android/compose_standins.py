"""Stand-ins for Compose and what belongs to it, after the documentation of each function.

They have only what the app uses. `COMPOSE` holds them all, by a name for a file of each.
"""

ACTIVITY = """package androidx.activity
open class ComponentActivity {
    protected open fun onCreate(savedInstanceState: android.os.Bundle?) {}
}
fun ComponentActivity.enableEdgeToEdge() {}
"""
ACTIVITY_COMPOSE = """package androidx.activity.compose
import androidx.activity.ComponentActivity
import androidx.activity.result.contract.ActivityResultContract
import androidx.compose.runtime.Composable
fun ComponentActivity.setContent(content: @Composable () -> Unit) {}
class ManagedActivityResultLauncher<I, O> { fun launch(input: I) {} }
@Composable fun <I, O> rememberLauncherForActivityResult(
    contract: ActivityResultContract<I, O>, onResult: (O) -> Unit
): ManagedActivityResultLauncher<I, O> = TODO()
@Composable fun BackHandler(enabled: Boolean = true, onBack: () -> Unit) {}
"""
ACTIVITY_RESULT = """package androidx.activity.result
import androidx.activity.result.contract.ActivityResultContracts.PickVisualMedia.VisualMediaType
class PickVisualMediaRequest
fun PickVisualMediaRequest(mediaType: VisualMediaType): PickVisualMediaRequest = TODO()
"""
ACTIVITY_CONTRACTS = """package androidx.activity.result.contract
import android.net.Uri
import androidx.activity.result.PickVisualMediaRequest
abstract class ActivityResultContract<I, O>
class ActivityResultContracts {
    class RequestPermission : ActivityResultContract<String, Boolean>()
    open class PickVisualMedia : ActivityResultContract<PickVisualMediaRequest, Uri?>() {
        sealed interface VisualMediaType
        object ImageOnly : VisualMediaType
    }
}
"""
RUNTIME = """package androidx.compose.runtime
import kotlin.reflect.KProperty
@Target(AnnotationTarget.FUNCTION, AnnotationTarget.TYPE, AnnotationTarget.PROPERTY_GETTER)
annotation class Composable
interface State<out T> { val value: T }
interface MutableState<T> : State<T> { override var value: T }
operator fun <T> State<T>.getValue(thisObj: Any?, property: KProperty<*>): T = value
operator fun <T> MutableState<T>.setValue(thisObj: Any?, property: KProperty<*>, value: T) {}
fun <T> mutableStateOf(value: T): MutableState<T> = TODO()
@Composable fun <T> remember(calculation: () -> T): T = calculation()
@Composable fun <T> remember(key1: Any?, calculation: () -> T): T = calculation()
class DisposableEffectScope { fun onDispose(effect: () -> Unit): DisposableEffectResult = TODO() }
interface DisposableEffectResult
@Composable fun DisposableEffect(
    key1: Any?, effect: DisposableEffectScope.() -> DisposableEffectResult
) {}
abstract class ProvidableCompositionLocal<T> { val current: T @Composable get() = TODO() }
"""
SAVEABLE = """package androidx.compose.runtime.saveable
@androidx.compose.runtime.Composable
fun <T : Any> rememberSaveable(vararg inputs: Any?, init: () -> T): T = init()
"""
UI = """package androidx.compose.ui
interface Modifier { companion object : Modifier }
"""
GRAPHICS = """package androidx.compose.ui.graphics
class Color
interface ImageBitmap
fun android.graphics.Bitmap.asImageBitmap(): ImageBitmap = TODO()
"""
PLATFORM = """package androidx.compose.ui.platform
import androidx.compose.runtime.ProvidableCompositionLocal
val LocalContext: ProvidableCompositionLocal<android.content.Context> = TODO()
val LocalResources: ProvidableCompositionLocal<android.content.res.Resources> = TODO()
"""
RES = """package androidx.compose.ui.res
import androidx.compose.runtime.Composable
@Composable fun stringResource(id: Int): String = TODO()
@Composable fun stringResource(id: Int, vararg formatArgs: Any): String = TODO()
"""
SEMANTICS = """package androidx.compose.ui.semantics
import androidx.compose.ui.Modifier
class LiveRegionMode { companion object { val Polite = LiveRegionMode() } }
interface SemanticsPropertyReceiver
var SemanticsPropertyReceiver.contentDescription: String
    get() = TODO()
    set(value) {}
var SemanticsPropertyReceiver.liveRegion: LiveRegionMode
    get() = TODO()
    set(value) {}
fun SemanticsPropertyReceiver.heading() {}
fun Modifier.semantics(
    mergeDescendants: Boolean = false, properties: SemanticsPropertyReceiver.() -> Unit
): Modifier = this
fun Modifier.clearAndSetSemantics(properties: SemanticsPropertyReceiver.() -> Unit): Modifier = this
"""
UNIT = """package androidx.compose.ui.unit
class Dp
val Int.dp: Dp get() = TODO()
"""
TEXT = """package androidx.compose.ui.text
class TextStyle
"""
VIEWINTEROP = """package androidx.compose.ui.viewinterop
import android.content.Context
import androidx.compose.runtime.Composable
import androidx.compose.ui.Modifier
@Composable fun <T> AndroidView(
    factory: (Context) -> T, modifier: Modifier = Modifier, update: (T) -> Unit = {}
) {}
"""
CAMERA_PREVIEW = """package androidx.camera.view
class PreviewView(context: android.content.Context) { var controller: CameraController? = null }
"""
FOUNDATION = """package androidx.compose.foundation
import androidx.compose.runtime.Composable
import androidx.compose.ui.Modifier
import androidx.compose.ui.graphics.ImageBitmap
class ScrollState
@Composable fun rememberScrollState(initial: Int = 0): ScrollState = TODO()
fun Modifier.verticalScroll(state: ScrollState, enabled: Boolean = true): Modifier = this
@Composable fun isSystemInDarkTheme(): Boolean = TODO()
@Composable fun Image(
    bitmap: ImageBitmap, contentDescription: String?, modifier: Modifier = Modifier
) {}
"""
LAYOUT = """package androidx.compose.foundation.layout
import androidx.compose.runtime.Composable
import androidx.compose.ui.Modifier
import androidx.compose.ui.unit.Dp
interface PaddingValues
object Arrangement {
    interface Horizontal
    interface Vertical
    interface HorizontalOrVertical : Horizontal, Vertical
    val Top: Vertical = TODO()
    val Start: Horizontal = TODO()
    val SpaceBetween: HorizontalOrVertical = TODO()
    fun spacedBy(space: Dp): HorizontalOrVertical = TODO()
}
interface RowScope { fun Modifier.weight(weight: Float, fill: Boolean = true): Modifier }
interface ColumnScope { fun Modifier.weight(weight: Float, fill: Boolean = true): Modifier }
interface FlowRowScope : RowScope
interface BoxScope
interface WindowInsets { companion object }
class WindowInsetsSides {
    operator fun plus(sides: WindowInsetsSides): WindowInsetsSides = this
    companion object {
        val Horizontal = WindowInsetsSides()
        val Bottom = WindowInsetsSides()
    }
}
val WindowInsets.Companion.safeDrawing: WindowInsets @Composable get() = TODO()
fun WindowInsets.only(sides: WindowInsetsSides): WindowInsets = this
fun Modifier.windowInsetsPadding(insets: WindowInsets): Modifier = this
fun Modifier.fillMaxSize(fraction: Float = 1f): Modifier = this
fun Modifier.fillMaxWidth(fraction: Float = 1f): Modifier = this
fun Modifier.size(size: Dp): Modifier = this
fun Modifier.padding(all: Dp): Modifier = this
fun Modifier.padding(paddingValues: PaddingValues): Modifier = this
@Composable fun Box(modifier: Modifier = Modifier, content: @Composable BoxScope.() -> Unit) {}
@Composable fun Column(
    modifier: Modifier = Modifier, verticalArrangement: Arrangement.Vertical = Arrangement.Top,
    content: @Composable ColumnScope.() -> Unit
) {}
@Composable fun Row(
    modifier: Modifier = Modifier,
    horizontalArrangement: Arrangement.Horizontal = Arrangement.Start,
    content: @Composable RowScope.() -> Unit
) {}
@Composable fun FlowRow(
    modifier: Modifier = Modifier,
    horizontalArrangement: Arrangement.Horizontal = Arrangement.Start,
    verticalArrangement: Arrangement.Vertical = Arrangement.Top,
    content: @Composable FlowRowScope.() -> Unit
) {}
"""
BUTTON = """@Composable fun %s(
    onClick: () -> Unit, modifier: Modifier = Modifier, enabled: Boolean = true,
    content: @Composable RowScope.() -> Unit
) {}
"""
MATERIAL = """package androidx.compose.material3
import androidx.compose.foundation.layout.PaddingValues
import androidx.compose.foundation.layout.RowScope
import androidx.compose.foundation.layout.WindowInsets
import androidx.compose.runtime.Composable
import androidx.compose.ui.Modifier
import androidx.compose.ui.graphics.Color
import androidx.compose.ui.text.TextStyle
class ColorScheme(val secondaryContainer: Color, val error: Color, val onSurface: Color)
class Typography(
    val headlineMedium: TextStyle, val titleMedium: TextStyle, val bodySmall: TextStyle
)
object MaterialTheme {
    val colorScheme: ColorScheme @Composable get() = TODO()
    val typography: Typography @Composable get() = TODO()
}
@Composable fun MaterialTheme(colorScheme: ColorScheme, content: @Composable () -> Unit) {}
fun lightColorScheme(): ColorScheme = TODO()
fun darkColorScheme(): ColorScheme = TODO()
fun dynamicLightColorScheme(context: android.content.Context): ColorScheme = TODO()
fun dynamicDarkColorScheme(context: android.content.Context): ColorScheme = TODO()
@Composable fun Text(
    text: String, modifier: Modifier = Modifier, color: Color = TODO(), style: TextStyle = TODO()
) {}
@Composable fun Surface(
    modifier: Modifier = Modifier, color: Color = TODO(), content: @Composable () -> Unit
) {}
@Composable fun Scaffold(
    modifier: Modifier = Modifier, topBar: @Composable () -> Unit = {},
    bottomBar: @Composable () -> Unit = {}, contentWindowInsets: WindowInsets = TODO(),
    content: @Composable (PaddingValues) -> Unit
) {}
@Composable fun FilterChip(
    selected: Boolean, onClick: () -> Unit, label: @Composable () -> Unit,
    modifier: Modifier = Modifier, enabled: Boolean = true
) {}
@Composable fun LinearProgressIndicator(modifier: Modifier = Modifier) {}
@Composable fun LinearProgressIndicator(progress: () -> Float, modifier: Modifier = Modifier) {}
""" + "".join(BUTTON % f"{kind}Button" for kind in ("", "FilledTonal", "Outlined", "Text"))
LIFECYCLE = """package androidx.lifecycle
abstract class ViewModel { protected open fun onCleared() {} }
open class AndroidViewModel(application: android.app.Application) : ViewModel() {
    fun <T : android.app.Application> getApplication(): T = TODO()
}
val ViewModel.viewModelScope: kotlinx.coroutines.CoroutineScope get() = TODO()
"""
LIFECYCLE_COMPOSE = """package androidx.lifecycle.compose
import androidx.compose.runtime.Composable
import androidx.compose.runtime.ProvidableCompositionLocal
import androidx.compose.runtime.State
val LocalLifecycleOwner: ProvidableCompositionLocal<androidx.lifecycle.LifecycleOwner> = TODO()
@Composable fun <T> kotlinx.coroutines.flow.StateFlow<T>.collectAsStateWithLifecycle(): State<T> =
    TODO()
"""
VIEW_MODEL = """package androidx.lifecycle.viewmodel.compose
@androidx.compose.runtime.Composable
inline fun <reified VM : androidx.lifecycle.ViewModel> viewModel(): VM = TODO()
"""
COROUTINES = """package kotlinx.coroutines
import kotlin.coroutines.CoroutineContext
interface CoroutineScope
fun CoroutineScope(context: CoroutineContext): CoroutineScope = TODO()
abstract class CoroutineDispatcher : CoroutineContext {
    fun limitedParallelism(parallelism: Int, name: String? = null): CoroutineDispatcher = TODO()
}
object Dispatchers { val Default: CoroutineDispatcher = TODO() }
interface Job
fun CoroutineScope.launch(
    context: CoroutineContext = kotlin.coroutines.EmptyCoroutineContext,
    block: suspend CoroutineScope.() -> Unit
): Job = TODO()
"""
FLOW = """package kotlinx.coroutines.flow
interface StateFlow<out T> { val value: T }
interface MutableStateFlow<T> : StateFlow<T> { override var value: T }
fun <T> MutableStateFlow(value: T): MutableStateFlow<T> = TODO()
fun <T> MutableStateFlow<T>.asStateFlow(): StateFlow<T> = this
inline fun <T> MutableStateFlow<T>.update(function: (T) -> T) { value = function(value) }
"""
COMPOSE = {
    name.title().replace("_", ""): text
    for name, text in list(globals().items())
    if name.isupper() and isinstance(text, str) and text.startswith("package ")
}  # fmt: skip
