"""Stand-ins for Android, LiteRT and CameraX: what the Android app uses of them, as documented.

With them Kotlin type-checks the app where there is no SDK, and runs what draws nothing. They prove
nothing of what Android, LiteRT and CameraX do. LiteRT's are after its Kotlin sources, 2.1.5 to
2.3.0, and CameraX's after CameraController.java. Compose's are in compose_standins.py.
"""

from pathlib import Path

from tests.conftest import Shared
from tests.mobile_app_stub.app_sources import compiled

QUIET = '@file:Suppress("warnings")\n'

PERMISSIONS = """package android
object Manifest { object permission { const val CAMERA = "android.permission.CAMERA" } }
"""
OS = """package android.os
class Bundle
object Build {
    object VERSION { @JvmField val SDK_INT: Int = 37 }
    object VERSION_CODES { const val S = 31 }
}
"""
ANNOTATION = """package androidx.annotation
@Target(AnnotationTarget.VALUE_PARAMETER) annotation class StringRes
"""
APPLICATION = """package android.app
abstract class Application : android.content.Context()
"""

CONTENT = """package android.content
abstract class Context {
    abstract val assets: android.content.res.AssetManager
    abstract val packageManager: android.content.pm.PackageManager
    abstract val packageName: String
    abstract val contentResolver: ContentResolver
    abstract val mainExecutor: java.util.concurrent.Executor
    abstract fun getSharedPreferences(name: String, mode: Int): SharedPreferences
    abstract fun getString(id: Int): String
    companion object { const val MODE_PRIVATE = 0 }
}
abstract class ContentResolver
interface SharedPreferences {
    fun getLong(key: String, default: Long): Long
    fun getString(key: String, default: String?): String?
    fun edit(): Editor
    interface Editor {
        fun putLong(key: String, value: Long): Editor
        fun putString(key: String, value: String?): Editor
        fun remove(key: String): Editor
        fun apply()
        fun commit(): Boolean
    }
}
"""

RESOURCES = """package android.content.res
abstract class AssetManager {
    @Throws(java.io.IOException::class)
    abstract fun open(name: String): java.io.InputStream
}
abstract class Resources { abstract fun openRawResource(id: Int): java.io.InputStream }
"""

PACKAGES = """package android.content.pm
class PackageInfo { val lastUpdateTime = 1L }
abstract class PackageManager {
    abstract fun getPackageInfo(name: String, flags: Int): PackageInfo
    abstract fun hasSystemFeature(name: String): Boolean
    companion object { const val FEATURE_CAMERA_ANY = "android.hardware.camera.any" }
}
"""

NET = """package android.net
abstract class Uri
"""

UTIL = """package android.util
class Size(val width: Int, val height: Int)
"""

GRAPHICS = """package android.graphics
abstract class ColorSpace {
    enum class Named { SRGB }
    companion object { fun get(name: Named): ColorSpace = object : ColorSpace() {} }
}
class Bitmap private constructor(val width: Int, val height: Int, private val colors: IntArray) {
    enum class Config { ARGB_8888 }
    fun recycle() {}
    fun getPixels(
        pixels: IntArray, offset: Int, stride: Int, x: Int, y: Int, width: Int, height: Int
    ) {
        for (row in 0 until height) {
            val from = (y + row) * this.width + x
            colors.copyInto(pixels, offset + row * stride, from, from + width)
        }
    }
    companion object {
        fun createBitmap(colors: IntArray, width: Int, height: Int, config: Config): Bitmap =
            Bitmap(width, height, colors)
    }
}
abstract class ImageDecoder {
    abstract class Source
    abstract class ImageInfo { abstract val size: android.util.Size }
    fun interface OnHeaderDecodedListener {
        fun onHeaderDecoded(decoder: ImageDecoder, info: ImageInfo, source: Source)
    }
    abstract var allocator: Int
    abstract var isUnpremultipliedRequired: Boolean
    abstract fun setTargetColorSpace(space: ColorSpace?)
    abstract fun setTargetSampleSize(size: Int)
    companion object {
        /** What a photo that is being decoded does; tests set it. */
        lateinit var decode: (OnHeaderDecodedListener) -> Bitmap
        const val ALLOCATOR_SOFTWARE = 1
        fun createSource(assets: android.content.res.AssetManager, name: String): Source =
            object : Source() {}
        fun createSource(resolver: android.content.ContentResolver, uri: android.net.Uri): Source =
            object : Source() {}
        fun createSource(file: java.nio.ByteBuffer): Source = object : Source() {}
        @Throws(java.io.IOException::class)
        fun decodeBitmap(source: Source, listener: OnHeaderDecodedListener): Bitmap =
            decode(listener)
    }
}
"""

# Answers with what it was given first. As LiteRT, it loads a library when it is first used.
LITERT = """package com.google.ai.edge.litert
enum class Accelerator { NONE, CPU, GPU, NPU }
interface NpuAcceleratorProvider
class BuiltinNpuAcceleratorProvider(val context: android.content.Context) : NpuAcceleratorProvider
class TensorBuffer : AutoCloseable {
    fun writeInt8(data: ByteArray) {}
    fun readFloat(): FloatArray = floatArrayOf(0.75f, 0.25f)
    override fun close() {}
}
class Environment : AutoCloseable {
    override fun close() {}
    companion object {
        init { System.getProperty("litert")?.let { System.loadLibrary(it) } }
        fun create(provider: NpuAcceleratorProvider): Environment = Environment()
    }
}
class CompiledModel : AutoCloseable {
    data class CpuOptions(
        val numThreads: Int? = null,
        val xnnPackFlags: Int? = null,
        val xnnPackWeightCachePath: String? = null
    )
    class Options(vararg val accelerators: Accelerator) { var cpuOptions: CpuOptions? = null }
    fun createInputBuffers(signatureIndex: Int = 0): List<TensorBuffer> = listOf(TensorBuffer())
    fun createOutputBuffers(signatureIndex: Int = 0): List<TensorBuffer> = listOf(TensorBuffer())
    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>, signatureIndex: Int = 0) {}
    override fun close() {}
    companion object {
        fun create(
            assets: android.content.res.AssetManager,
            asset: String,
            options: Options,
            environment: Environment? = null
        ): CompiledModel = CompiledModel()
    }
}
"""

FUTURES = """package com.google.common.util.concurrent
interface ListenableFuture<V> : java.util.concurrent.Future<V> {
    fun addListener(listener: Runnable, executor: java.util.concurrent.Executor)
}
"""

LIFECYCLE = """package androidx.lifecycle
interface LifecycleOwner
"""

CAMERA_CORE = """package androidx.camera.core
class CameraSelector private constructor() {
    companion object {
        @JvmField val DEFAULT_FRONT_CAMERA = CameraSelector()
        @JvmField val DEFAULT_BACK_CAMERA = CameraSelector()
    }
}
class ImageCaptureException : Exception()
class ImageCapture {
    class OutputFileResults
    class OutputFileOptions {
        class Builder(stream: java.io.OutputStream) { fun build() = OutputFileOptions() }
    }
    interface OnImageSavedCallback {
        fun onImageSaved(output: OutputFileResults)
        fun onError(error: ImageCaptureException)
    }
}
"""

# As CameraController, it refuses whatever comes before its initialization.
CAMERA_VIEW = """package androidx.camera.view
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageCapture
import com.google.common.util.concurrent.ListenableFuture
abstract class CameraController {
    lateinit var initializationFuture: ListenableFuture<Void?>
    var cameras = setOf<CameraSelector>()
    var cameraSelector = CameraSelector.DEFAULT_BACK_CAMERA
    var bound = false
    fun setEnabledUseCases(cases: Int) {}
    fun hasCamera(selector: CameraSelector): Boolean = ready() && selector in cameras
    fun takePicture(
        options: ImageCapture.OutputFileOptions,
        executor: java.util.concurrent.Executor,
        callback: ImageCapture.OnImageSavedCallback
    ) {
        ready()
        executor.execute { callback.onImageSaved(ImageCapture.OutputFileResults()) }
    }
    private fun ready() = initializationFuture.isDone.also { check(it) { "not initialized" } }
    companion object { const val IMAGE_CAPTURE = 1 }
}
class LifecycleCameraController(context: android.content.Context?) : CameraController() {
    fun bindToLifecycle(owner: androidx.lifecycle.LifecycleOwner) {
        require(cameraSelector in cameras) { "no such camera" }
        bound = true
    }
    fun unbind() { bound = false }
}
"""

# Gradle makes it from the library's resources, as internal as here.
CLASSIFIER = """package lesionlite.classifier
internal object R {
    object string {
        const val classifier_no_model = 1
        const val classifier_no_library = 2
        const val classifier_too_large = 3
    }
}
"""

FILES = {
    "Permissions": PERMISSIONS,
    "Os": OS,
    "Annotation": ANNOTATION,
    "Application": APPLICATION,
    "Content": CONTENT,
    "Resources": RESOURCES,
    "Packages": PACKAGES,
    "Net": NET,
    "Util": UTIL,
    "Graphics": GRAPHICS,
    "LiteRt": LITERT,
    "Futures": FUTURES,
    "Lifecycle": LIFECYCLE,
    "CameraCore": CAMERA_CORE,
    "CameraView": CAMERA_VIEW,
}


def write(folder: Path, **files: str) -> Path:
    """Write Kotlin sources of these names, without their warnings."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.kt").write_text(QUIET + text, encoding="utf-8")
    return folder


def standin_classes(shared: Shared) -> Path:
    """The stand-ins, compiled once."""

    def make(folder: Path) -> None:
        compiled(write(folder.with_name("kotlin-standins-source"), **FILES), folder)

    return shared("kotlin-standins", make)
