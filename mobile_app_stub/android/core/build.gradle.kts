import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.kotlin.jvm)
}

java {
    sourceCompatibility = JavaVersion.VERSION_17
    targetCompatibility = JavaVersion.VERSION_17
}

kotlin {
    compilerOptions {
        jvmTarget = JvmTarget.JVM_17
    }
}

dependencies {
    // Android has org.json; off Android, in the unit tests, it comes from Maven.
    compileOnly(libs.json)
    testImplementation(libs.json)
    testImplementation(libs.kotlin.test.junit)
}

tasks.test {
    // In an app that `lesionlite embed` made the cases lie in the app, in the template beside it.
    val cases =
        listOf("cases.json", "../cases.json").map { rootDir.resolve(it) }.first { it.exists() }
    val model = rootDir.resolve("app/src/main/assets/model")
    inputs.file(cases)
    inputs.files(fileTree(model))
    systemProperty("cases", cases.path)
    systemProperty("model", model.path)
}
