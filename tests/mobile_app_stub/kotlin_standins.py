"""Stand-ins for Android and LiteRT: what the Android app's model uses of them, as documented.

With them Kotlin type-checks that part of the app where there is no SDK. They do nothing, and prove
nothing of what Android and LiteRT do. LiteRT's are after its Kotlin sources, 2.1.5. What draws the
screens (Compose, CameraX) has none: too much of it is compiler plugins.
"""

CONTENT = """package android.content
abstract class Context {
    abstract val assets: android.content.res.AssetManager
    abstract val packageManager: android.content.pm.PackageManager
    abstract val packageName: String
    abstract val contentResolver: ContentResolver
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
"""

PACKAGES = """package android.content.pm
class PackageInfo { val lastUpdateTime = 0L }
abstract class PackageManager { abstract fun getPackageInfo(name: String, flags: Int): PackageInfo }
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
    companion object { fun get(name: Named): ColorSpace = TODO("$name") }
}
abstract class Bitmap {
    enum class Config { ARGB_8888 }
    abstract val width: Int
    abstract val height: Int
    abstract fun recycle()
    abstract fun getPixels(
        pixels: IntArray, offset: Int, stride: Int, x: Int, y: Int, width: Int, height: Int
    )
    companion object {
        fun createBitmap(colors: IntArray, width: Int, height: Int, config: Config): Bitmap =
            TODO("$colors $width $height $config")
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
        const val ALLOCATOR_SOFTWARE = 1
        fun createSource(assets: android.content.res.AssetManager, name: String): Source =
            TODO("$assets $name")
        fun createSource(resolver: android.content.ContentResolver, uri: android.net.Uri): Source =
            TODO("$resolver $uri")
        @Throws(java.io.IOException::class)
        fun decodeBitmap(source: Source, listener: OnHeaderDecodedListener): Bitmap =
            TODO("$source $listener")
    }
}
"""

LITERT = """package com.google.ai.edge.litert
enum class Accelerator { NONE, CPU, GPU, NPU }
interface NpuAcceleratorProvider
class BuiltinNpuAcceleratorProvider(val context: android.content.Context) : NpuAcceleratorProvider
class TensorBuffer : AutoCloseable {
    fun writeInt8(data: ByteArray) { TODO("$data") }
    fun readFloat(): FloatArray = TODO()
    override fun close() {}
}
class Environment : AutoCloseable {
    override fun close() {}
    companion object {
        fun create(provider: NpuAcceleratorProvider): Environment = TODO("$provider")
    }
}
class CompiledModel : AutoCloseable {
    data class CpuOptions(
        val numThreads: Int? = null,
        val xnnPackFlags: Int? = null,
        val xnnPackWeightCachePath: String? = null
    )
    class Options(vararg val accelerators: Accelerator) { var cpuOptions: CpuOptions? = null }
    fun createInputBuffers(signatureIndex: Int = 0): List<TensorBuffer> = TODO("$signatureIndex")
    fun createOutputBuffers(signatureIndex: Int = 0): List<TensorBuffer> = TODO("$signatureIndex")
    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>, signatureIndex: Int = 0) {
        TODO("$inputs $outputs $signatureIndex")
    }
    override fun close() {}
    companion object {
        fun create(
            assets: android.content.res.AssetManager,
            asset: String,
            options: Options,
            environment: Environment? = null
        ): CompiledModel = TODO("$assets $asset $options $environment")
    }
}
"""

APP = """package lesionlite.app
object R { object string { const val no_model = 1 } }
"""

FILES = {
    "Content": CONTENT,
    "Resources": RESOURCES,
    "Packages": PACKAGES,
    "Net": NET,
    "Util": UTIL,
    "Graphics": GRAPHICS,
    "LiteRt": LITERT,
    "R": APP,
}
